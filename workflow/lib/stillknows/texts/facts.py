"""Where the fact of an answer is: its tokens, and the positions that predict them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stillknows.errors import StudyError
from stillknows.terms import CORRECTED
from stillknows.texts.fact_matching import find_fact
from stillknows.texts.prompts import CHAT, prompt_of


@dataclass(frozen=True)
class FactText:
    """A question with its answer as a model reads it, up to the end of a fact.

    Attributes:
        ids: token ids, the fact's last one included.
        fact: the positions that predict the fact's tokens, from 0.
    """

    ids: tuple[int, ...]
    fact: range


def fact_texts(
    concept: Mapping[str, Any], form: str, style: str, tokenizer: Any
) -> dict[int, FactText]:
    """The texts of the questions that have a fact, by the question's number.

    Args:
        concept: with QA and QA_with_answers; without answer_facts (one text or null per question)
            no question has a fact.
        form: "published", "published_fixed" (the same texts) or "corrected".
        style: of the prompt in QA_with_answers.

    Raises:
        StudyError: with the question's number, for a fact that is not in its answer
            (texts.fact_matching) or has no token of its own.
    """
    texts: dict[int, FactText] = {}
    facts = concept.get("answer_facts") or [None] * len(concept["QA"])
    if any(facts) and not tokenizer.is_fast:
        raise StudyError(
            f"the tokenizer in {tokenizer.name_or_path} does not say which characters a token "
            "stands for, which answer_facts need; add its tokenizer.json, or leave the facts out"
        )
    answered = zip(concept["QA"], concept["QA_with_answers"], facts, strict=True)
    for number, (question, text, fact) in enumerate(answered):
        if fact is None:
            continue
        where = f"concept {concept['id']}, question {number} (from 0)"
        prompt = prompt_of(where, text, question, style, tokenizer)
        answer = text[len(prompt) :].strip()
        # The published script also finds a fact inside a longer word.
        start = find_fact(answer, fact) if form == CORRECTED else answer.find(fact)
        if start < 0:
            raise StudyError(
                f"{where}: the fact {fact!r} is not in the answer {answer!r}; give an exact "
                "part of the answer, in whole words, or null to leave the question out"
            )
        if form == CORRECTED:
            start += text.index(answer, len(prompt))
            texts[number] = _whole_text(where, text, start, fact, style, tokenizer)
        else:
            texts[number] = _published_text(where, question, answer, fact, tokenizer)
    return texts


def _whole_text(
    where: str, text: str, start: int, fact: str, style: str, tokenizer: Any
) -> FactText:
    """The study's own text, tokenized as a whole; `start` is the fact's first character."""
    encoded = tokenizer(text, add_special_tokens=style != CHAT, return_offsets_mapping=True)
    span = _tokens_of(where, fact, start, encoded.offset_mapping)
    return FactText(tuple(encoded.input_ids[: span.stop]), range(span.start - 1, span.stop - 1))


def _published_text(where: str, question: str, answer: str, fact: str, tokenizer: Any) -> FactText:
    """A text as the published script makes it (gnueaj/unlearning-depth-score, arXiv 2605.24614).

    The prompt, which ends in the beginning of the answer, and the rest are tokenized apart. The
    rest begins with the answer's own white space, or with a space if there is none. Where an
    answer begins with its fact, the prompt ends in the space. An end of sequence that the tokenizer
    appends to the prompt stays, as in the script.
    """
    before = answer[: answer.index(fact)].rstrip()
    rest = answer[len(before) :]
    if before and not rest[0].isspace():
        rest = f" {rest}"
    prompt = tokenizer(f"Question: {question}\nAnswer: {before}").input_ids
    encoded = tokenizer(rest, add_special_tokens=False, return_offsets_mapping=True)
    span = _tokens_of(where, fact, rest.index(fact), encoded.offset_mapping)
    ids = (*prompt, *encoded.input_ids[: span.stop])
    return FactText(ids, range(len(prompt) + span.start - 1, len(prompt) + span.stop - 1))


def _tokens_of(where: str, fact: str, start: int, offsets: list[tuple[int, int]]) -> range:
    """The tokens that overlap a fact.

    Args:
        start: the fact's first character.
        offsets: per token, its first character and the one after its last; (0, 0) for special
            tokens.
    """
    stop = start + len(fact)
    # The rule of the published script. Byte-level tokenizers give white space an empty range: such
    # a token counts inside the fact. Special tokens never do, since they end at 0.
    tokens = [n for n, (first, end) in enumerate(offsets) if first < stop and end > start]
    if not tokens:
        raise StudyError(f"{where}: the fact {fact!r} has no token of its own; give a longer one")
    return range(tokens[0], tokens[-1] + 1)


def refuse_other_tokens(
    texts: Mapping[int, FactText], others: Mapping[int, FactText], label: str
) -> None:
    """Refuse a checkpoint whose tokenizer reads the facts' texts differently."""
    for number, text in texts.items():
        if text != others[number]:
            raise StudyError(
                f"{label}: its tokenizer gives other ids than the original's for the fact of "
                f"question {number}; copy the original's tokenizer files to it"
            )
