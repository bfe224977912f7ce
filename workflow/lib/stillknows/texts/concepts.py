"""Concept files: the questions, answers and texts of each concept, in the authors' format."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Self, TypeVar

from pydantic import AfterValidator, BaseModel, Field, StrictInt, ValidationError, model_validator

from stillknows.errors import StudyError, first_problem, shortened
from stillknows.files import read_users_json
from stillknows.names import name_problem, text_problem
from stillknows.texts.fact_matching import find_fact, mentions_fact

M = TypeVar("M", bound=BaseModel)
Entry = dict[str, Any]
"""One concept: the authors' keys (id, Concept, QA; optional QA_with_answers, ...), id a string."""


def _usable_id(value: Any) -> Any:
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        raise ValueError(f"{shortened(value)} cannot be an id; give a name or a number")
    if problem := name_problem("concept", str(value)):
        raise ValueError(f"{shortened(value)} {problem}")
    return value


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("must not be empty")
    return text


# What an entry has of the original's own answers, where the concept file has none.
_ANSWERS = ("QA_with_answers", "answers_tokens_num", "answer_facts", "answered_by")
_PER_QUESTION = (
    *_ANSWERS[:3],
    *("paraphrases", "held_out_paraphrases", "decoys", "kinds", "subjects"),
)
Text = Annotated[str, AfterValidator(_not_blank)]
Index = Annotated[StrictInt, Field(ge=0)]


class Completion(BaseModel):
    First_half: Text


class _CheckedEntry(BaseModel):
    """What is checked of an entry; further keys may be anything."""

    id: Annotated[Any, AfterValidator(_usable_id)]
    Concept: Text
    QA: Annotated[list[Text], Field(min_length=1)]
    QA_with_answers: list[Text] | None = None
    answers_tokens_num: list[Annotated[StrictInt, Field(ge=1)]] | None = None
    answer_facts: list[Text | None] | None = None
    paraphrases: list[list[Text]] | None = None
    held_out_paraphrases: list[list[Text]] | None = None
    decoys: list[list[Text]] | None = None
    kinds: list[Text | None] | None = None
    subjects: list[Text | None] | None = None
    Layer: Index | None = None
    Dim: Index | None = None
    unrelated_QA: list[Text] | None = None  # noqa: N815
    text_completion: list[Completion] | None = None
    wikipedia_content: str | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.answers_tokens_num is not None and self.QA_with_answers is None:
            raise ValueError("answers_tokens_num needs QA_with_answers, whose tokens it counts")
        for key in _PER_QUESTION:
            values = getattr(self, key)
            if values is not None and len(values) != len(self.QA):
                raise ValueError(
                    f"{key} has {len(values)} items for {len(self.QA)} questions in QA; "
                    "there must be one for each"
                )
        for number, fact in enumerate(self.answer_facts or ()):
            question, text = self.QA[number], (self.QA_with_answers or {number: None})[number]
            # Where the answer begins, only jobs know: a chat prompt needs the tokenizer
            # (texts.spans). So all after the question counts; if its white space differs there, the
            # whole text.
            answer = (text or "").partition(question.strip())[2] or text
            if fact and (problem := fact_problem(fact, question, answer)):
                raise ValueError(
                    f"answer_facts: the fact {fact!r} of question {number} (from 0) {problem}, or "
                    "null to leave the question out"
                )
        if (self.Layer is None) != (self.Dim is None):
            raise ValueError("Layer and Dim name a value vector together; give both or neither")
        return self


def fact_problem(fact: str, question: str, answer: str | None) -> str:
    """Why a question cannot have this fact; empty if it can. answer: None if it is given later."""
    if mentions_fact(question, fact):
        return "occurs in the question; choose a part that only the answer contains"
    if answer is not None and find_fact(answer.strip(), fact) < 0:
        return (
            f"is not in the answer {shortened(answer.strip())}; give an exact part of the answer, "
            "in whole words, upper and lower case as there"
        )
    return ""


def read_concept_file(path: Path) -> dict[str, Entry]:
    """Read a concept file: the entries by id, in its order; a StudyError says what is wrong."""
    try:
        items = read_users_json(path, object_pairs_hook=_each_key_once)
    except StudyError as error:
        raise StudyError(f"concept file {error}") from error
    if isinstance(items, dict) and isinstance(items.get("QA"), list):
        items = [items]  # one concept by itself
    if isinstance(items, dict):
        for key, value in items.items():
            if isinstance(value, dict) and str(value.setdefault("id", key)) != key:
                raise StudyError(
                    f"concept file {path}: the entry {shortened(key)} has the id "
                    f"{shortened(value['id'])}; give it one id"
                )
        items = [*items.values()]
    if not isinstance(items, list) or not items:
        raise StudyError(
            f"concept file {path} must be a list of concepts, each an object; give at least one"
        )
    entries: dict[str, Entry] = {}
    for number, item in enumerate(items):
        where = f"concept file {path}, entry {number} (from 0)"
        checked(where, item, _CheckedEntry, "id, Concept, QA")
        identifier = str(item["id"])
        if identifier in entries:
            raise StudyError(f"concept file {path} has id {shortened(identifier)} twice; keep one")
        entries[identifier] = item | {"id": identifier}
    return entries


def unrelated_id(concept: str) -> str:
    return f"{concept}.unrelated"


def is_unrelated(identifier: str) -> bool:
    """Whether an id is one of `unrelated_id`; no concept of a file has one."""
    return identifier.endswith(unrelated_id(""))


def with_unrelated(entries: Mapping[str, Entry]) -> dict[str, Entry]:
    """The entries of a file, and the unrelated questions of each (unrelated_QA, or those of another
    concept, the one before it) as an entry of their own.
    """
    ids, unrelated = list(entries), {}
    for number, (concept, entry) in enumerate(entries.items()):
        others = [ids[number - 1]] if number else ids[1:2]
        candidates = [entry.get("unrelated_QA"), *(entries[other]["QA"] for other in others)]
        if questions := next(filter(None, candidates), None):
            unrelated[unrelated_id(concept)] = {
                "id": concept,
                "Concept": entry["Concept"],
                "QA": questions[: len(entry["QA"])],
            }
    return {**entries, **unrelated}


def digest(entry: Entry) -> str:
    """The sha256 of an entry's canonical JSON: it changes with the content, never the layout."""
    text = json.dumps(entry, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def identity(entry: Entry, *, is_answered: bool) -> dict[str, Any]:
    """What tells an entry from others: its digest, answers included if they are the file's own."""
    if is_answered:
        return {"entry_sha256": digest(entry)}
    asked = {key: value for key, value in entry.items() if key not in _ANSWERS}
    return {"entry_sha256": digest(asked), "answer_facts": entry.get("answer_facts")}


def has_answers(entry: Entry) -> bool:
    return entry.get("QA_with_answers") is not None


def has_facts(entry: Entry) -> bool:
    return any(entry.get("answer_facts") or ())


def fact_if_said(fact: str | None, answer: str) -> str | None:
    """The fact, or null if the answer lacks it: what is not said cannot be unlearned."""
    return fact if fact and find_fact(answer, fact) >= 0 else None


def has_held_out(entry: Entry) -> bool:
    """Whether the entry has wordings of its questions that no training reads."""
    return any(entry.get("held_out_paraphrases") or ())


def has_held_out_half(entry: Entry) -> bool:
    """Whether a fact can be asked for after half of the answers, the even ones, are relearned."""
    facts, wordings = (entry.get(key) or [] for key in ("answer_facts", "held_out_paraphrases"))
    return any(fact and texts for fact, texts in zip(facts[1::2], wordings[1::2], strict=False))


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object, of whose repeated keys Python's parser would keep the last."""
    mapping = dict(pairs)
    if len(mapping) < len(pairs):
        [(key, _)] = Counter(key for key, _ in pairs).most_common(1)
        where = f"the object with id {shortened(mapping.get('id'))}"
        raise ValueError(f"{where} has the key {shortened(key)} twice; keep one")
    return mapping


def checked(where: str, item: Any, model: type[M], keys: str) -> M:
    """An object of a user's file as the model reads it; a StudyError if it is none, or unusable."""
    if not isinstance(item, dict):
        raise StudyError(f"{where}: {shortened(item)} is not an object with the keys {keys}, ...")
    for key, value in item.items():
        for text in (key, *_texts_in(value)):
            if problem := text_problem(text):
                raise StudyError(f"{where}: {shortened(key)} {problem}")
    try:
        return model.model_validate(item)
    except ValidationError as error:
        raise StudyError(f"{where}: {first_problem(error)}") from error


def _texts_in(value: Any) -> Iterator[str]:
    waiting = [value]
    while waiting:
        match waiting.pop():
            case str() as text:
                yield text
            case dict() as mapping:
                waiting += [*mapping, *mapping.values()]
            case list() as items:
                waiting += items
