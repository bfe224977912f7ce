"""Concept files: the questions, answers and texts of each concept, in the authors' format."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dissect.errors import DissectError
from dissect.study.names import name_problem, shortened, text_problem

Entry = dict[str, Any]
"""One concept: the authors' keys (id, Concept, QA; optional QA_with_answers, ...), id a string."""

_REQUIRED = ("id", "Concept", "QA")
_NO_NAME = "cannot be a part of a path; give a name or a number"


def read_concept_file(path: Path) -> dict[str, Entry]:
    """Read and check a concept file: a list of objects, or an object of them by id.

    Returns:
        The entries by id, in the file's order, each as it stands in the file but for its id, which
        is a string here.

    Raises:
        DissectError: naming the file, the entry and what is legal there.
    """
    try:
        return _entries(path, _load(path))
    except RecursionError as error:
        raise DissectError(
            f"concept file {path} is nested too deeply; it must be a list of concepts, each an "
            "object of texts and lists"
        ) from error


def digest(entry: Entry) -> str:
    """The sha256 of an entry's canonical JSON: it changes with the content, never the layout."""
    text = json.dumps(entry, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def has_answers(entry: Entry) -> bool:
    """Whether the entry brings its own answers, so that none need be generated."""
    return entry.get("QA_with_answers") is not None


def _load(path: Path) -> Any:
    try:
        # A byte order mark, which Excel and old editors write, is skipped.
        text = path.read_text(encoding="utf-8-sig")
        return json.loads(text, object_pairs_hook=_each_key_once)
    except OSError as error:
        raise DissectError(
            f"concept file {path} cannot be read: {error.strerror or error}"
        ) from error
    except UnicodeDecodeError as error:
        raise DissectError(
            f"concept file {path} is not in UTF-8 (byte {error.start}); save it in UTF-8"
        ) from error
    except ValueError as error:
        raise DissectError(f"concept file {path} is not JSON: {error}") from error
    except _KeyTwiceError as error:
        raise DissectError(f"concept file {path}: {error}; keep one") from error


class _KeyTwiceError(Exception):
    """A key that a JSON object has twice; Python's parser would keep the last one's value."""


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping: dict[str, Any] = {}
    for key, value in pairs:
        if key in mapping:
            entry_id = dict(pairs).get("id")
            where = f"the concept with id {shortened(entry_id)}" if entry_id else "an object"
            raise _KeyTwiceError(f"{where} has the key {shortened(key)} twice")
        mapping[key] = value
    return mapping


def _entries(path: Path, loaded: Any) -> dict[str, Entry]:
    if isinstance(loaded, dict):
        loaded = [_with_id(path, key, value) for key, value in loaded.items()]
    if not isinstance(loaded, list) or not loaded:
        raise DissectError(f"concept file {path} must be a list of concepts, each an object")
    entries: dict[str, Entry] = {}
    for number, item in enumerate(loaded):
        entry = _checked(f"concept file {path}, entry {number} (from 0)", item)
        if entry["id"] in entries:
            raise DissectError(
                f"concept file {path} has id {shortened(entry['id'])} twice; keep one"
            )
        entries[entry["id"]] = entry
    return entries


def _with_id(path: Path, key: str, value: Any) -> Any:
    """An entry of an object of entries by id."""
    if not isinstance(value, dict):
        return value
    if str(value.get("id", key)) != key:
        raise DissectError(
            f"concept file {path}: the entry {shortened(key)} has the id {shortened(value['id'])}; "
            "give it one id"
        )
    return value | {"id": key}


def _checked(where: str, item: Any) -> Entry:
    if not isinstance(item, dict):
        raise DissectError(f"{where} is not an object with the keys {', '.join(_REQUIRED)}, ...")
    missing = [key for key in _REQUIRED if item.get(key) in (None, "", [])]
    if missing:
        raise DissectError(
            f"{where} has no {' and no '.join(missing)}; required are {', '.join(_REQUIRED)}"
        )
    identity = item["id"]
    problem = name_problem("concept", str(identity))
    if problem or isinstance(identity, bool):
        raise DissectError(f"{where}: id {shortened(identity)} {problem or _NO_NAME}")
    where = f"{where}, id {identity}"
    _check_characters(where, item)
    if not isinstance(item["Concept"], str):
        raise DissectError(f"{where}: Concept must be the concept's name, a string")
    _check_strings(where, "QA", item["QA"])
    _check_answers(where, item)
    _check_vector(where, item)
    _check_other_questions(where, item)
    text = item.get("wikipedia_content")
    if text is not None and not isinstance(text, str):
        raise DissectError(f"{where}: wikipedia_content must be a string")
    return item | {"id": str(identity)}


def _check_characters(where: str, item: Entry) -> None:
    """Whether every text of an entry can be written to a file."""
    for key, value in item.items():
        problems = (text_problem(text) for text in (key, *_texts_in(value)))
        if problem := next(filter(None, problems), ""):
            raise DissectError(f"{where}: {shortened(key)} {problem}")


def _texts_in(value: Any) -> Iterator[str]:
    """Every text in a JSON value, keys of objects included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from _texts_in([*value.keys(), *value.values()])
    elif isinstance(value, list):
        for item in value:
            yield from _texts_in(item)


def _check_answers(where: str, item: Entry) -> None:
    answered, counts = item.get("QA_with_answers"), item.get("answers_tokens_num")
    if answered is not None:
        _check_strings(where, "QA_with_answers", answered)
        _check_length(where, "QA_with_answers", answered, item["QA"])
    if counts is None:
        return
    if answered is None:
        raise DissectError(f"{where} has answers_tokens_num but no QA_with_answers to count in")
    if not isinstance(counts, list):
        raise DissectError(f"{where}: answers_tokens_num must be a list, one number per question")
    _check_length(where, "answers_tokens_num", counts, item["QA"])
    for number, count in enumerate(counts):
        if not isinstance(count, int) or isinstance(count, bool) or count < 1:
            raise DissectError(
                f"{where}: answers_tokens_num of question {number} (from 0) is {count!r}; "
                "legal are whole numbers from 1 to the tokens of its text"
            )


def _check_vector(where: str, item: Entry) -> None:
    """Layer and Dim name a value vector: both or neither."""
    vector = {key: item.get(key) for key in ("Layer", "Dim")}
    if all(value is None for value in vector.values()):
        return
    for key, value in vector.items():
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise DissectError(
                f"{where}: {key} is {value!r}; legal are whole numbers from 0, "
                "or leave out both Layer and Dim"
            )


def _check_other_questions(where: str, item: Entry) -> None:
    if item.get("unrelated_QA"):
        _check_strings(where, "unrelated_QA", item["unrelated_QA"])
    halves = item.get("text_completion") or []
    if not isinstance(halves, list) or not all(
        isinstance(one, dict) and str(one.get("First_half") or "").strip() for one in halves
    ):
        raise DissectError(
            f"{where}: text_completion must be a list of objects, each with the text to complete "
            "as First_half"
        )


def _check_strings(where: str, key: str, value: Any) -> None:
    if not isinstance(value, list) or not all(isinstance(x, str) and x.strip() for x in value):
        raise DissectError(f"{where}: {key} must be a list of strings, none of them empty")


def _check_length(where: str, key: str, value: list[Any], questions: list[str]) -> None:
    if len(value) != len(questions):
        raise DissectError(
            f"{where}: {key} has {len(value)} items for {len(questions)} questions in QA; "
            "there must be one for each"
        )
