"""What a refusal is: a StudyError of one line."""

from collections.abc import Callable

import pytest

from stillknows.errors import StudyError


def refused(call: Callable[[], object], *words: str) -> str:
    """The message with which a call refuses its input: one line that has these words."""
    with pytest.raises(StudyError) as error:
        call()
    text = str(error.value)
    assert "\n" not in text
    for word in words:
        assert word in text
    return text
