"""The one exception that a user is meant to read, and what its messages have in common."""

import difflib
import re
import reprlib
from collections.abc import Collection, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # a tenth of a second, of every job
    from pydantic import ValidationError

_LONGEST = 300  # characters of another library's message
_LONGEST_QUOTE = 80
_QUOTED = reprlib.Repr()
_QUOTED.maxstring = _QUOTED.maxother = _LONGEST_QUOTE


class StudyError(Exception):
    """Something a user can fix, told in one line: what was seen, what is allowed, what to do."""


def reason_of(error: BaseException) -> str:
    text = " ".join(str(error).split())[:_LONGEST]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def shortened(value: object) -> str:
    return _QUOTED.repr(value)


def not_known(kind: str, name: object, allowed: Iterable[str], where: str) -> str:
    """The words for a name that is not in a list: the nearest allowed one, then all of them."""
    names = [str(item) for item in allowed]
    near = difflib.get_close_matches(shortened(name).strip("'"), names, n=1)
    hint = f" (did you mean {near[0]}?)" if near else ""
    return f"{kind} {shortened(name)} is not {where}{hint}; allowed: {', '.join(names) or 'none'}"


def check_known(kind: str, names: Iterable[str], allowed: Collection[str], where: str) -> None:
    """Raise a StudyError, `not_known`, of the first name that is not in a list."""
    for name in names:
        if name not in allowed:
            raise StudyError(not_known(kind, name, allowed, where))


def first_problem(error: "ValidationError") -> str:
    """The first thing that pydantic refuses, in one line: where, what is wrong, what is allowed."""
    first = error.errors()[0]
    path = ".".join(map(str, first["loc"]))
    if first["type"] == "missing":
        return f"{path} is missing"
    where = f"{path}: " if path else ""
    if first["type"] == "value_error":
        return f"{where}{first['ctx']['error']}"
    if first["type"] == "literal_error":
        allowed = re.findall(r"'([^']*)'", first["ctx"]["expected"])
        return f"{where}{not_known('value', first['input'], allowed, 'known')}"
    if first["type"] in ("model_type", "dict_type"):
        return f"{where}must have keys of its own, but is {shortened(first['input'])}"
    if first["type"] == "too_short":
        return f"{where}must have an entry, but is empty"
    message = first["msg"][0].lower() + first["msg"][1:]
    return f"{where}{message}, but it is {shortened(first['input'])}"


@contextmanager
def any_error_in_one_line(message: str) -> Iterator[None]:
    """Only for calls into libraries that read a user's file: any exception is a StudyError."""
    try:
        yield
    except StudyError:
        raise
    except Exception as error:
        raise StudyError(message.replace("{reason}", reason_of(error))) from error


def used_by_transformers(path: Path) -> AbstractContextManager[None]:
    """`any_error_in_one_line` for what transformers makes of the file at `path`."""
    return any_error_in_one_line(
        f"transformers cannot use {path} ({{reason}}); use the {path.name} that was saved with the "
        "weights"
    )
