"""Which positions of a question-answer text are compared: the spans."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stillknows.errors import StudyError
from stillknows.terms import ANSWER, CORRECTED, FACT, NOTEBOOK
from stillknows.texts.facts import fact_texts
from stillknows.texts.prompts import common_prefix, encode, encode_prompt, prompt_of


@dataclass(frozen=True)
class Text:
    """One question with its answer, as the models read it. Positions count from 0."""

    ids: tuple[int, ...]
    notebook: range  # the last `answers_tokens_num` positions, as published
    # The positions that predict the answer's tokens: from the prompt's last token to the answer's
    # last but one, end-of-sequence excluded.
    answer: range
    # The positions, of the answer's, that predict the fact's tokens; None: the text has no fact.
    fact: range | None = None

    @property
    def compared(self) -> range:
        """The positions that any span needs."""
        return range(
            min(self.notebook.start, self.answer.start), max(self.notebook.stop, self.answer.stop)
        )

    def span(self, name: str) -> range | None:
        """The positions of a span; None: the text has none."""
        return {NOTEBOOK: self.notebook, ANSWER: self.answer, FACT: self.fact}[name]


def read_texts(concept: Mapping[str, Any], style: str, tokenizer: Any) -> list[Text]:
    """The question-answer texts of one concept (its QA_with_answers), tokenized.

    Raises:
        StudyError: a text that does not begin with its question's prompt, an answer without
            tokens, `answers_tokens_num` of zero or more positions than the text has, or a fact
            as in `fact_texts`.
    """
    questions = concept["QA"]
    counts = concept.get("answers_tokens_num") or [None] * len(questions)
    facts = fact_texts(concept, CORRECTED, style, tokenizer)
    texts: list[Text] = []
    for question, text, count in zip(questions, concept["QA_with_answers"], counts, strict=True):
        where = f"concept {concept['id']}, question {len(texts)}"
        ids = encode(text, style, tokenizer)
        prompt = _prompt_length(where, ids, text, question, style, tokenizer)
        end = len(ids) - (ids[-1:] == [tokenizer.eos_token_id])
        if prompt == 0 or end <= prompt:
            raise StudyError(
                f"{where}: QA_with_answers has no answer after the prompt (style {style!r}); "
                "give the question's prompt and an answer, or leave QA_with_answers out"
            )
        published = end - prompt if count is None else count
        if not 1 <= published <= len(ids):
            raise StudyError(
                f"{where}: answers_tokens_num is {published}; allowed are 1 to {len(ids)}, "
                "the number of tokens of its text"
            )
        notebook, answer = range(len(ids) - published, len(ids)), range(prompt - 1, end - 1)
        fact = facts[len(texts)].fact if len(texts) in facts else None
        texts.append(Text(tuple(ids), notebook, answer, fact))
    return texts


def _prompt_length(
    where: str, ids: list[int], text: str, question: str, style: str, tokenizer: Any
) -> int:
    """How many of a text's ids are its prompt.

    A token that holds the prompt's end and the answer's first letters belongs to the answer.
    """
    written = prompt_of(where, text, question, style, tokenizer)
    alone = encode_prompt(written, style, tokenizer)
    length = common_prefix(ids, alone)
    if length < len(alone) - 1:
        raise StudyError(
            f"{where}: the prompt's tokens differ with its answer (QA_with_answers) and without "
            f"it, from token {length} of {len(alone)} on (style {style!r}); only its last may "
            "differ: end the prompt at a space or a line break"
        )
    return length


def refuse_other_ids(texts: list[Text], others: list[Text], label: str) -> None:
    """Refuse an unlearned checkpoint whose tokenizer reads the compared texts differently."""
    for number, (text, other) in enumerate(zip(texts, others, strict=True)):
        if text.ids != other.ids:
            raise StudyError(
                f"{label}: its tokenizer gives other ids than the original's for question "
                f"{number}; copy the original's tokenizer files to it"
            )
