"""The one exception that a user is meant to read."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_LONGEST = 300  # characters of another library's message


class DissectError(Exception):
    """Something a user can mend, told in one line: what was seen, what is legal, what to do."""


def reason_of(error: BaseException) -> str:
    """What another library's exception says, in one line and shortened, after its type."""
    text = " ".join(str(error).split())[:_LONGEST]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


@contextmanager
def used_by_transformers(path: Path) -> Iterator[None]:
    """For calls into transformers that make something of a user's file, and for nothing else.

    Raises:
        DissectError: in place of any other exception, naming the file at `path`.
    """
    try:
        yield
    except DissectError:
        raise
    except Exception as error:
        raise DissectError(
            f"transformers cannot use {path} ({reason_of(error)}); use the {path.name} that was "
            "saved with the weights"
        ) from error
