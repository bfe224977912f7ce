"""A user's file of questions: what the audit asks, with the answers and their facts."""

import csv
import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, StringConstraints, model_validator

from stillknows.config_section import Distinct, Section
from stillknows.errors import StudyError, not_known, shortened
from stillknows.files import read_users_json, read_users_text
from stillknows.texts.concepts import checked, fact_problem, has_answers, read_concept_file
from stillknows.texts.fact_matching import find_fact, mentions_fact
from stillknows.texts.prompts import HELD_OUT_PARAPHRASES, PAPER, answer_to

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
SUFFIXES = (".jsonl", ".json", ".csv")
SEPARATOR = "|"  # between the texts of one field of a .csv file
LISTS = ("paraphrases", "decoys")


class Question(Section):
    """One row of a file of questions. White space around a text does not count."""

    question: Text
    answer: Text
    fact: Text
    """The exact part of the answer that is asked for, in whole words. Default: the whole answer."""
    paraphrases: Distinct[Text] = Field(default_factory=list)
    """The question in other words."""
    decoys: Distinct[Text] = Field(default_factory=list)
    """Wrong facts of the same kind, which the model has never seen."""
    kind: Text | None = None
    """Questions of one kind have facts of the same form, and subjects of the same form."""
    subject: Text | None = None
    """Whom or what the question is about, as it is named there."""

    @model_validator(mode="before")
    @classmethod
    def _default_fact(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        given = {key: value for key, value in values.items() if value not in (None, "")}
        return {"fact": given["answer"]} | given if "answer" in given else given

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if problem := fact_problem(self.fact, self.question, self.answer):
            raise ValueError(f"the fact {shortened(self.fact)} {problem}")
        for decoy in self.decoys:
            if _same(decoy) == _same(self.fact):
                raise ValueError(f"the decoy {shortened(decoy)} is the fact itself; remove it")
            if any(mentions_fact(text, decoy) for text in (self.question, self.answer)):
                raise ValueError(
                    f"the decoy {shortened(decoy)} occurs in the question or in the answer; "
                    "choose another wrong fact"
                )
        if self.subject is not None and (problem := self._subject_problem(self.subject)):
            raise ValueError(f"the subject {shortened(self.subject)} {problem}")
        return self

    def _subject_problem(self, subject: str) -> str:
        """Why the question cannot have this subject; empty if it can."""
        if find_fact(self.question, subject) < 0:
            return "is not in the question; give it as the question names it, or leave it out"
        if mentions_fact(self.fact, subject) or mentions_fact(subject, self.fact):
            return "and the fact contain each other; give a fact without it, or leave it out"
        beginning = replace_subject(self.beginning, subject, "")
        for word in subject.split():
            # The rest of the name would still be that of the true subject under another one.
            if len(word) > 2 and not word.islower() and find_fact(beginning, word) >= 0:
                return (
                    f"is named in the answer, before the fact, by {shortened(word)} only; name it "
                    "there as in the question, or leave the subject out"
                )
        return ""

    @property
    def beginning(self) -> str:
        """The answer before the fact."""
        return self.answer[: find_fact(self.answer, self.fact)]

    @property
    def ending(self) -> str:
        """The answer after the fact."""
        return self.answer[len(self.beginning) + len(self.fact) :]


def replace_subject(text: str, subject: str, other: str) -> str:
    """A text about another subject, wherever it names the subject in whole words."""
    parts = []
    while (start := find_fact(text, subject)) >= 0:
        parts += [text[:start], other]
        text = text[start + len(subject) :]
    return "".join([*parts, text])


def read_questions(path: Path) -> list[Question]:
    """Read a user's file: .jsonl (one object a line), .json (a list of objects) or .csv.

    A .json file may also be a concept file with one concept.

    In .csv, several paraphrases or decoys of a question stand in one field, separated by "|".

    Raises:
        StudyError: one line with the file, the line (in .json the item), what was given and what is
            allowed.
    """
    if path.suffix not in SUFFIXES:
        raise StudyError(
            not_known("the ending", path.suffix, SUFFIXES, f"that of a file of questions ({path})")
        )
    questions: list[Question] = []
    first_lines: dict[str, str] = {}
    for where, row in {".jsonl": _jsonl, ".json": _json, ".csv": _csv}[path.suffix](path):
        question = checked(f"{path}, {where}", row, Question, "question, answer")
        first = first_lines.setdefault(_same(question.question), where)
        if first != where:
            raise StudyError(
                f"{path}, {where}: the question {shortened(question.question)} is already in "
                f"{first}; keep one, and give other wordings as paraphrases"
            )
        questions.append(question)
    if not questions:
        raise StudyError(
            f"{path} has no questions; give at least one, with its question and its answer"
        )
    return questions


def questions_of(concept: Mapping[str, Any], style: str, tokenizer: Any) -> dict[int, Question]:
    """A concept's questions that have a fact, by their number.

    Args:
        concept: with QA_with_answers and answer_facts; optional, with an item per question: decoys,
            kinds, subjects.
        style: of the prompts in QA_with_answers.

    Raises:
        StudyError: for a question that has decoys or a subject that do not fit to it.
    """
    questions = {}
    for number, fact in enumerate(concept.get("answer_facts") or ()):
        if fact is not None:
            where = f"concept {concept['id']}, question {number} (from 0)"
            row = _row_of(concept, number, style, tokenizer)
            questions[number] = checked(where, row, Question, "question, answer")
    return questions


def _row_of(concept: Mapping[str, Any], number: int, style: str, tokenizer: Any) -> dict[str, Any]:
    """One question of a concept, with what it has of the optional keys."""
    names = {"fact": "answer_facts", "kind": "kinds", "subject": "subjects", "decoys": "decoys"}
    row = {key: concept[name][number] for key, name in names.items() if concept.get(name)}
    row["question"] = concept["QA"][number].strip()
    row["answer"] = answer_to(concept, number, style, tokenizer)
    return {key: value for key, value in row.items() if value}


def _jsonl(path: Path) -> Iterator[tuple[str, Any]]:
    for number, line in enumerate(read_users_text(path).split("\n"), 1):
        if line.strip():
            try:
                yield f"line {number}", json.loads(line)
            except (ValueError, RecursionError) as error:
                raise StudyError(
                    f"{path}, line {number} is not valid JSON ({error}): {shortened(line)}; give "
                    "one object a line"
                ) from None


def _json(path: Path) -> Iterator[tuple[str, Any]]:
    items = read_users_json(path)
    parts = [items, *items.values()] if isinstance(items, dict) else items
    if isinstance(parts, list) and any(isinstance(part, dict) and "QA" in part for part in parts):
        items = [*_of_concept(path)]
    if not isinstance(items, list):
        raise StudyError(
            f"{path} must hold a list of questions ([{{...}}, ...]), but is {shortened(items)}"
        )
    yield from ((f"item {number}", item) for number, item in enumerate(items, 1))


def _of_concept(path: Path) -> Iterator[dict[str, Any]]:
    """The questions of a concept file with one concept, as objects of a file of questions."""
    entries = read_concept_file(path)
    if len(entries) > 1:
        raise StudyError(
            f"{path} holds {len(entries)} concepts ({shortened(', '.join(entries))}); give a file "
            "with the one that was unlearned"
        )
    [entry] = entries.values()
    if not has_answers(entry):
        raise StudyError(f"{path} has no QA_with_answers; the audit needs the answers")
    for number in range(len(entry["QA"])):
        row = _row_of(entry, number, PAPER, None)
        paraphrases = entry.get(HELD_OUT_PARAPHRASES)
        if "fact" in row or not entry.get("answer_facts"):  # a fact of null: left out
            yield row | {"paraphrases": paraphrases[number] if paraphrases else []}


def _csv(path: Path) -> Iterator[tuple[str, Any]]:
    reader = csv.DictReader(io.StringIO(read_users_text(path), newline=""), strict=True)
    line = 1
    try:
        if "question" not in (names := reader.fieldnames or []):
            raise StudyError(
                f"{path}, line 1: the columns are {shortened(names)}; give a header with at least "
                "question and answer"
            )
        line = 2
        for row in reader:
            if None in row:
                raise StudyError(
                    f"{path}, line {line} has more fields than line 1 has columns; put texts that "
                    'contain a comma in double quotes (")'
                )
            lists = {
                key: [text for text in map(str.strip, row[key].split(SEPARATOR)) if text]
                for key in LISTS
                if row.get(key)
            }
            yield f"line {line}", {**row, **lists}
            line = reader.line_num + 1
    except csv.Error as error:
        raise StudyError(
            f"{path}, line {line} is not valid CSV ({error}); save it again as CSV with commas"
        ) from None


def _same(text: str) -> str:
    """What two texts share that differ in white space and in upper and lower case only."""
    return " ".join(text.casefold().split())
