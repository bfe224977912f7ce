"""What is asked for recall, and how half of it is relearned: a section of the config."""

from typing import Literal

from pydantic import Field

from dissect.inputs.section import Distinct, Section
from dissect.training.teaching import Lessons

QUESTION, HELD_OUT = "question", "held_out"


class Relearning(Lessons):
    """How half of the answers are taught again."""

    passes: int = Field(default=2, ge=1, le=10_000)
    """How often each answer is learned."""


class Recall(Section):
    """Recall: the facts (answer_facts of the concept file) in each model's free answers."""

    wordings: Distinct[Literal["question", "held_out"]] = Field(default=[])
    """The wordings of the questions: question (QA), or held_out (the concept file's
    held_out_paraphrases, which no training reads). Empty: recall is not measured."""
    new_tokens: int = Field(default=20, ge=1, le=100_000)
    """The maximum number of tokens of an answer."""
    relearn: bool = False
    """Whether a copy of the model (which is not kept) is then taught the answers to the questions
    with even numbers and asked again, to see whether the other facts come back."""
    relearning: Relearning = Relearning()
    """How that copy is taught."""

    @property
    def is_complete(self) -> bool:
        """Whether all is asked that a round needs."""
        return self.relearn and {QUESTION, HELD_OUT} <= set(self.wordings)
