"""Windows of layers."""

import pytest

from stillknows.engine.windows import Window, window_width, windows_of
from stillknows.errors import StudyError


def test_sliding_windows_are_clipped_at_both_ends() -> None:
    windows = windows_of(["sliding_5"], 7)
    assert [(w.first, w.last) for w in windows] == [
        (0, 2), (0, 3), (0, 4), (1, 5), (2, 6), (3, 6), (4, 6)
    ]  # fmt: skip
    assert [w.layer for w in windows] == list(range(7))


def test_one_layer_at_a_time() -> None:
    assert windows_of(["sliding_1"], 2) == [
        Window("sliding_1", 0, 0, 0),
        Window("sliding_1", 1, 1, 1),
    ]


def test_suffixes_reach_the_top() -> None:
    assert [(w.layer, w.first, w.last) for w in windows_of(["suffix"], 3)] == [
        (0, 0, 2),
        (1, 1, 2),
        (2, 2, 2),
    ]


def test_prefixes_begin_at_the_bottom() -> None:
    assert [(w.layer, w.first, w.last) for w in windows_of(["prefix"], 3)] == [
        (0, 0, 0),
        (1, 0, 1),
        (2, 0, 2),
    ]


@pytest.mark.parametrize(
    "name", ["sliding_4", "sliding_0", "sliding_", "sliding_-1", "prefixes", ""]
)
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(StudyError, match="allowed are sliding_<odd width>"):
        window_width(name)


def test_a_window_wider_than_the_model_is_refused() -> None:
    with pytest.raises(StudyError, match="sliding_5"):
        windows_of(["sliding_5"], 4)


def test_every_third_window_counts_from_the_last_layer() -> None:
    windows = windows_of(["sliding_5_every_3"], 8)
    assert [(w.layer, w.first, w.last) for w in windows] == [(1, 0, 3), (4, 2, 6), (7, 5, 7)]
    assert window_width("sliding_5_every_3") == 5
    assert windows_of(["sliding_3_every_9"], 8) == [Window("sliding_3_every_9", 7, 6, 7)]
    with pytest.raises(StudyError, match="allowed are sliding_<odd width>"):
        window_width("sliding_5_every_03")
