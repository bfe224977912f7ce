"""Which positions of a question-answer text are compared: the spans."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stillknows.errors import StudyError
from stillknows.terms import ANSWER, CORRECTED, FACT, NOTEBOOK
from stillknows.texts.fact_matching import find_fact
from stillknows.texts.prompts import CHAT, common_prefix, encode, encode_prompt, prompt_of


@dataclass(frozen=True)
class FactText:
    """Token ids up to a fact's last one; fact: the positions that predict its tokens, from 0."""

    ids: tuple[int, ...]
    fact: range


def fact_texts(
    concept: Mapping[str, Any], form: str, style: str, tokenizer: Any
) -> dict[int, FactText]:
    """The texts of the questions that have a fact, by number; a StudyError if an answer lacks it.

    Args:
        concept: QA and QA_with_answers; answer_facts: one text or null per question.
        form: "published", "published_fixed" (the same texts) or "corrected".
        style: of the prompt in QA_with_answers.
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
            # The study's own text, tokenized as a whole.
            before, rest, special = [], text, style != CHAT
            start += text.index(answer, len(prompt))
        else:
            # As the published script: prompt and rest apart (gnueaj/unlearning-depth-score).
            beginning = answer[:start].rstrip()
            before = tokenizer(f"Question: {question}\nAnswer: {beginning}").input_ids
            rest, special = answer[len(beginning) :], False
            if beginning and not rest[0].isspace():
                rest = f" {rest}"
            start = rest.index(fact)
        encoded = tokenizer(rest, add_special_tokens=special, return_offsets_mapping=True)
        # The tokens that overlap the fact, by the rule of the published script. Byte-level
        # tokenizers give white space an empty range: such a token counts inside the fact. Special
        # tokens, (0, 0), never do.
        tokens = [
            token
            for token, (first, end) in enumerate(encoded.offset_mapping)
            if first < start + len(fact) and end > start
        ]
        if not tokens:
            raise StudyError(
                f"{where}: the fact {fact!r} has no token of its own; give a longer one"
            )
        ids = (*before, *encoded.input_ids[: tokens[-1] + 1])
        texts[number] = FactText(ids, range(len(before) + tokens[0] - 1, len(ids) - 1))
    return texts


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
        return range(
            min(self.notebook.start, self.answer.start), max(self.notebook.stop, self.answer.stop)
        )

    def span(self, name: str) -> range | None:
        """The positions of a span; None: the text has none."""
        return {NOTEBOOK: self.notebook, ANSWER: self.answer, FACT: self.fact}[name]


def read_texts(concept: Mapping[str, Any], style: str, tokenizer: Any) -> list[Text]:
    """The question-answer texts of one concept (its QA_with_answers), tokenized.

    Raises:
        StudyError: a text that does not begin with its question's prompt, an answer without tokens,
            `answers_tokens_num` of zero or more positions than the text has, or a fact as in
            `fact_texts`.
    """
    questions = concept["QA"]
    counts = concept.get("answers_tokens_num") or [None] * len(questions)
    facts = fact_texts(concept, CORRECTED, style, tokenizer)
    texts: list[Text] = []
    for question, text, count in zip(questions, concept["QA_with_answers"], counts, strict=True):
        where = f"concept {concept['id']}, question {len(texts)}"
        ids = encode(text, style, tokenizer)
        written = prompt_of(where, text, question, style, tokenizer)
        alone = encode_prompt(written, style, tokenizer)
        # How many ids are the prompt's. A token that it shares with the answer is the answer's.
        prompt = common_prefix(ids, alone)
        if prompt < len(alone) - 1:
            raise StudyError(
                f"{where}: the prompt's tokens differ with its answer (QA_with_answers) and "
                f"without it, from token {prompt} of {len(alone)} on (style {style!r}); only its "
                "last may differ: end the prompt at a space or a line break"
            )
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


def refuse_other_ids(
    texts: Mapping[int, Text | FactText], others: Mapping[int, Text | FactText], label: str
) -> None:
    """Refuse a checkpoint whose tokenizer reads the compared texts, by question, differently."""
    for number, text in texts.items():
        if text.ids != others[number].ids:
            raise StudyError(
                f"{label}: its tokenizer gives other ids than the original's for question "
                f"{number}; copy the original's tokenizer files to it"
            )
