"""The self-patch check's decision: what counts as a change, and how it is said."""

import numpy as np
import pandas as pd
import pytest

from stillknows.analysis.self_patch import TOLERANCE, refuse_changed, self_patch_windows
from stillknows.errors import StudyError


def rows_of(unlearned: float, patched: list[float], method: str = "dpo") -> pd.DataFrame:
    return pd.DataFrame(
        {
            "method": method,
            "experiment": "value_vectors",
            "first_layer": range(len(patched)),
            "last_layer": 5,
            "question": range(len(patched)),
            "loss_unlearned": unlearned,
            "loss_patched": patched,
        }
    )


def test_a_change_is_in_units_of_the_logits() -> None:
    for patched, change in ((4.0, 0.0), (9.0, 0.01), (1.0, 0.01)):
        assert refuse_changed(rows_of(4.0, [patched]), 100.0, "torch.float16", "x") == change


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_rounding_is_let_pass_and_more_is_not(dtype: str) -> None:
    size, most = 3.0, TOLERANCE[dtype]
    within, beyond = ((2 + by * most * size) ** 2 for by in (0.9, 1.1))
    assert refuse_changed(rows_of(4.0, [within]), size, dtype, "x") == pytest.approx(0.9 * most)
    with pytest.raises(StudyError) as refused:
        refuse_changed(rows_of(4.0, [within, beyond]), size, dtype, "tiny/dpo/tea")
    said = str(refused.value)
    assert said.startswith("self_patch: tiny/dpo/tea: its own states, patched at layers 1 to 5")
    assert "question 1" in said and "\n" not in said


def test_the_original_must_have_its_own_logits() -> None:
    rows = rows_of(0.01, [0.01], "original")
    with pytest.raises(StudyError, match=r"by 0\.1 of their size"):
        refuse_changed(rows, 1.0, "torch.float32", "x")
    assert refuse_changed(rows.assign(method="dpo"), 1.0, "torch.float32", "x") == 0


def test_what_is_no_number_is_refused() -> None:
    with pytest.raises(StudyError, match="by inf of their size"):
        refuse_changed(rows_of(1.0, [1.0, np.nan]), 1.0, "torch.bfloat16", "x")


@pytest.mark.parametrize(
    "name, layers, windows",
    [
        ("sliding_5", 30, [(13, 17), (27, 29), (0, 29)]),
        ("suffix", 6, [(3, 5), (5, 5), (0, 5)]),
        ("sliding_5_every_3", 30, [(15, 19), (27, 29), (0, 29)]),
        ("sliding_3_every_9", 6, [(4, 5), (0, 5)]),
    ],
)
def test_few_windows_the_whole_stack_among_them(
    name: str, layers: int, windows: list[tuple[int, int]]
) -> None:
    assert [(one.first, one.last) for one in self_patch_windows(name, layers)] == windows
