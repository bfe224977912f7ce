"""Readings of curves whose peak, slope and last layer's share are known by hand."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from stillknows.analysis.bootstrap import NOTHING, Reading, estimate
from stillknows.analysis.statistics import (
    difference_of_peaks,
    final_layer_lead,
    final_layer_share,
    layers_that_give,
    peak,
    peak_layer,
    rank_correlation,
    window_group,
)
from stillknows.analysis.tables import WINDOW_COLUMNS
from stillknows.engine.windows import windows_of


def windows(name: str, layers: int = 6) -> pd.DataFrame:
    rows = [(one.layer, one.first, one.last) for one in windows_of([name], layers)]
    return pd.DataFrame(rows, columns=WINDOW_COLUMNS)


def layers_of(windows: pd.DataFrame, group: str) -> list[int]:
    return windows.loc[window_group(windows, group), "layer"].tolist()


def read(reading: Reading, *curves: list[float], of: str = "sliding_1", **more: object) -> float:
    """A reading of curves that one concept has, of windows of that name."""
    values = [np.array(one)[None, None] for one in curves]
    return estimate(partial(reading, windows(of, len(curves[0])), **more), *values, seed=0).value


def share(name: str, curve: list[float]) -> float:
    return read(final_layer_share, curve, of=name)


def test_windows_know_which_cover_the_last_layer_and_which_third_they_are_in() -> None:
    five = windows("sliding_5", layers=9)
    assert layers_of(five, "with last layer") == [6, 7, 8]
    assert layers_of(five, "without last layer") == [0, 1, 2, 3, 4, 5]
    assert layers_of(five, "early") == [0, 1, 2]
    assert layers_of(five, "early and middle") == [0, 1, 2, 3, 4, 5]
    assert layers_of(five, "middle and late") == [3, 4, 5, 6, 7, 8]
    assert layers_of(windows("sliding_5", layers=32), "late") == list(range(22, 32))
    assert window_group(windows("suffix", layers=4), "with last layer").all()
    assert layers_of(windows("prefix", layers=4), "with last layer") == [3]
    for name in ("sliding_1", "sliding_3", "suffix", "prefix"):
        assert layers_of(windows(name, layers=4), "topmost") == [3]
        assert layers_of(windows(name, layers=4), "all") == [0, 1, 2, 3]


def test_the_peak_is_the_highest_value_and_its_layer() -> None:
    curve = [0.1, 0.2, np.nan, 0.7, 0.7, -0.9]
    assert read(peak, curve) == 0.7
    assert read(peak_layer, curve) == 3  # the lower of two equals
    assert read(difference_of_peaks, curve, [0.0, 0.4, 0.0, 0.0, 0.0, 0.0]) == pytest.approx(0.3)
    assert (
        estimate(partial(peak, windows("sliding_1")), np.full((1, 1, 6), np.nan), seed=0) == NOTHING
    )


def test_a_lead_compares_the_best_of_two_groups_of_windows() -> None:
    curve = [0.5, 0.1, 0.2, 0.3, 0.4, 0.2]
    assert read(final_layer_lead, curve) == pytest.approx(-0.3)
    # Of width 3, the windows at 4 and 5 cover the last layer.
    wide = [0, 0, 0.2, 0.3, 0.7, 0.4]
    assert read(final_layer_lead, wide, of="sliding_3") == pytest.approx(0.4)


@pytest.mark.parametrize(
    ("curve", "expected"),
    [
        ([0.0, 0.0, 0.0, 0.0, 0.0, 0.8], 1.0),
        ([0.2, 0.1, 0.0, 0.0, 0.1, 0.8], 0.75),
        ([0.4, 0.4, 0.4, 0.4, 0.4, 0.4], 0.0),
        ([0.0, 0.8, 0.0, 0.0, 0.0, 0.2], -0.75),
        ([0.0, 0.8, 0.0, 0.0, 0.0, -3.0], -1.0),
        ([-0.5, -0.2, -0.1, -0.1, -0.2, 0.8], 1.0),
        ([-0.5, -0.2, 0.0, -0.1, -0.2, -0.1], np.nan),
    ],
)
def test_the_last_layers_share_of_sliding_windows(curve: list[float], expected: float) -> None:
    assert share("sliding_1", curve) == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize(
    ("curve", "expected"),
    [
        ([0.8, 0.8, 0.8, 0.8, 0.8, 0.8], 1.0),
        ([0.8, 0.7, 0.6, 0.5, 0.4, 0.2], 0.25),
        ([0.8, 0.7, 0.6, 0.5, 0.4, 0.0], 0.0),
        ([0.8, 0.7, 0.6, 0.5, 0.4, -0.4], 0.0),
        ([-0.1, -0.1, -0.1, -0.1, -0.1, -0.1], np.nan),
    ],
)
def test_the_last_layers_share_of_suffixes(curve: list[float], expected: float) -> None:
    assert share("suffix", curve) == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize(
    ("curve", "half", "most"),
    [
        ([0.8, 0.8, 0.8, 0.7, 0.5, 0.2], 2, 4),  # of layers 4 and 5; of 2 to 5
        ([0.8, 0.8, 0.8, 0.8, 0.8, 0.8], 1, 1),
        ([0.8, 0.1, 0.1, 0.1, 0.1, 0.1], 6, 6),
        ([-0.8, 0.1, 0.6, 0.1, 0.1, 0.5], 1, 4),  # a longer suffix may give less
        ([np.nan, 0.8, 0.1, 0.1, np.nan, 0.3], 5, 5),
        ([-0.8, -0.1, -0.1, -0.1, -0.1, 0.0], np.nan, np.nan),
    ],
)
def test_how_many_last_layers_give_half_and_most_of_the_best_suffix(
    curve: list[float], half: float, most: float
) -> None:
    for share_of_best, expected in ((0.5, half), (0.9, most)):
        found = read(layers_that_give, curve, of="suffix", share=share_of_best)
        assert found == pytest.approx(expected, nan_ok=True)
        # Of prefixes, the first layers: the same curve from the other end.
        found = read(layers_that_give, curve[::-1], of="prefix", share=share_of_best)
        assert found == pytest.approx(expected, nan_ok=True)


def test_an_interval_holds_its_value_even_where_the_curve_is_noise() -> None:
    """Looked for again in each resample, this peak's interval would begin above the peak."""
    noise = np.random.default_rng(0).normal(0.5, 0.2, (1, 10, 32))
    found = estimate(partial(peak, windows("sliding_1", 32)), noise, seed=0)
    assert found.low < found.value < found.high


def test_the_interval_of_the_peaks_layer_is_made_of_layers() -> None:
    values = np.full((1, 8, 6), 0.1)
    values[0, :4, 2] = values[0, 4:, 4] = 0.9  # half of the concepts peak here, half there
    found = estimate(partial(peak_layer, windows("sliding_1")), values, seed=0)
    assert (found.value, found.low, found.high) == (2, 2, 4)


def test_rank_correlations_are_scipys() -> None:
    rng = np.random.default_rng(0)
    curves = rng.normal(size=(2, 3, 7)).round(1)
    curves[0, 0] = [0, 0, 1, 1, 2, 2, 3]
    curves[0, 1, [1, 4]] = np.nan
    curves[1, 0] = np.arange(7.0)
    found = rank_correlation(curves)
    for place in np.ndindex(2, 3):
        there = np.isfinite(curves[place])
        theirs = scipy.stats.spearmanr(curves[place][there], np.arange(7)[there]).statistic
        assert found[place] == pytest.approx(theirs)
    assert found[1, 0] == pytest.approx(1)
