"""What is asked for recall, and how half of it is relearned: a section of the config."""

from typing import Literal

from pydantic import Field

from stillknows.config_section import Distinct, Section
from stillknows.training.teaching import Relearning

QUESTION, HELD_OUT = "question", "held_out"
RETAINED = "retained"  # the held-out wordings of facts that unlearning is to leave as they are


class Recall(Section):
    """The facts (answer_facts) in each model's free answers."""

    wordings: Distinct[Literal["question", "held_out"]] = Field(default=[])
    """question (QA), or held_out (held_out_paraphrases, never used in training). Empty: recall is
    not measured."""
    new_tokens: int = Field(default=20, ge=1, le=100_000)
    """Maximum tokens per answer."""
    relearn: bool = False
    """Whether a temporary copy of the model is then taught the answers to the even-numbered
    questions, and all questions are asked again."""
    relearning: Relearning = Relearning()
    """How that copy is taught."""

    @property
    def is_complete(self) -> bool:
        """Whether all is asked that a round needs."""
        return self.relearn and {QUESTION, HELD_OUT} <= set(self.wordings)
