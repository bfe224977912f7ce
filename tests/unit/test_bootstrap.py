"""Intervals over concepts, against scipy's and against populations that are known."""

from functools import partial

import numpy as np
import pytest
import scipy.stats

from stillknows.analysis.bootstrap import RESAMPLES, draws, estimate, interval_of_mean, resampled
from stillknows.analysis.statistics import difference_of_peaks, peak

# What two bootstraps of 10,000 draws may differ by at their ends, in standard deviations of the
# mean. scipy's own differ from seed to seed by up to 0.14, with five concepts by 0.21: there are
# only 126 different resamples of five, so the ends jump.
MONTE_CARLO, OF_FIVE = 0.17, 0.3


def curve(values: np.ndarray) -> np.ndarray:
    """(concepts, layers) as the one method of a curve."""
    return values[None].astype(float)


def scipys(values: np.ndarray, statistic: object = np.mean) -> tuple[np.ndarray, np.ndarray]:
    found = scipy.stats.bootstrap(
        (values,), statistic, method="percentile", n_resamples=RESAMPLES, axis=0, rng=7
    ).confidence_interval
    return found.low, found.high


@pytest.mark.parametrize(
    ("concepts", "error"), [(5, OF_FIVE), (10, MONTE_CARLO), (40, MONTE_CARLO)]
)
def test_intervals_of_a_curve_are_scipys(concepts: int, error: float) -> None:
    values = np.random.default_rng(concepts).gamma(2.0, 0.2, (concepts, 6))  # skewed, as KRS is
    of_mean = values.std(axis=0) / np.sqrt(concepts)
    for mine, theirs in zip(interval_of_mean(curve(values), 0), scipys(values), strict=True):
        assert (np.abs(mine - theirs) < error * of_mean).all()


def test_the_interval_of_a_paired_difference_is_scipys() -> None:
    rng = np.random.default_rng(3)
    left = rng.normal(0.7, 0.2, (10, 1))
    right = left - 0.1 + rng.normal(0, 0.02, (10, 1))  # far apart, but always by the same
    low, high = interval_of_mean(curve(left - right), 0)
    theirs = scipy.stats.bootstrap(
        (left[:, 0], right[:, 0]),
        lambda one, two, axis: (one - two).mean(axis=axis),
        paired=True,
        method="percentile",
        n_resamples=RESAMPLES,
        rng=7,
    ).confidence_interval
    error = MONTE_CARLO * (left - right).std() / np.sqrt(10)
    assert abs(low[0] - theirs.low) < error and abs(high[0] - theirs.high) < error
    assert high[0] - low[0] < 0.05


def test_the_interval_of_a_peak_is_scipys_at_that_layer() -> None:
    values = np.random.default_rng(4).normal([0.1, 0.3, 0.9, 0.5], 0.15, (12, 4))
    found = estimate(partial(peak, None), curve(values), seed=0)
    low, high = scipys(values[:, 2])
    error = MONTE_CARLO * values[:, 2].std() / np.sqrt(12)
    assert found.value == pytest.approx(values[:, 2].mean())
    assert abs(found.low - low) < error and abs(found.high - high) < error


def test_ten_thousand_draws_of_whole_concepts() -> None:
    counts = draws(7, seed=1)
    assert counts.shape == (10_000, 7)
    assert (counts.sum(axis=1) == 7).all()
    assert np.abs(counts.mean(axis=0) - 1).max() < 0.05


def test_resamples_are_means_of_the_drawn_concepts() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(2, 6, 3))
    counts = draws(6, seed=2)[:50]
    for drawn, mean in zip(counts, resampled(values, seed=2)[:50], strict=True):
        chosen = np.repeat(values, drawn.astype(int), axis=1)
        np.testing.assert_allclose(mean, chosen.mean(axis=1).mean(axis=0))
    values[1, 2] = np.nan  # a missing sweep: that method's mean is over the concepts that it has
    for drawn, mean in zip(counts, resampled(values, seed=2)[:50], strict=True):
        chosen = np.repeat(values, drawn.astype(int), axis=1)
        np.testing.assert_allclose(mean, np.nanmean(chosen, axis=1).mean(axis=0))


def test_what_two_curves_do_not_share_is_left_out_of_both() -> None:
    left, right = np.full((2, 6, 3), 0.8), np.full((2, 6, 3), 0.5)
    left[0, 0], right[0, 0] = 9.0, np.nan  # a sweep that only the left one has
    right[1, 5], left[1, 5] = 9.0, np.nan
    left[:, 4] = np.nan  # a concept that only the right one has
    found = estimate(partial(difference_of_peaks, None), left, right, seed=0)
    assert (found.value, found.low, found.high) == pytest.approx((0.3, 0.3, 0.3))
    assert found.n == 5


@pytest.mark.parametrize("concepts", [0, 1, 4])
def test_under_five_concepts_there_is_a_value_and_no_interval(concepts: int) -> None:
    values = np.full((1, 6, 3), np.nan)
    values[:, :concepts] = 0.25
    found = estimate(partial(peak, None), values, seed=0)
    assert found.n == concepts
    assert found.value == 0.25 if concepts else np.isnan(found.value)
    assert np.isnan(found.low) and np.isnan(found.high)


def test_a_statistic_that_some_resample_leaves_undefined_has_no_interval() -> None:
    values = np.linspace(-0.1, 0.2, 6)[:, None] * np.ones(3)
    found = estimate(
        lambda _, mean: np.where(mean[:, 0] > 0, mean[:, 0], np.nan), curve(values), seed=0
    )
    assert found.value == pytest.approx(0.05)
    assert np.isnan(found.low)


@pytest.mark.parametrize(("concepts", "least", "most"), [(5, 0.78, 0.88), (10, 0.85, 0.93)])
def test_how_often_an_interval_holds_the_truth_is_what_the_docs_say(
    concepts: int, least: float, most: float
) -> None:
    """docs/explanation/statistics.md: about 83 % with 5 concepts, 90 % with 10."""
    population = np.random.default_rng(0).normal(0.5, 0.2, (1, concepts, 600))
    low, high = interval_of_mean(population, 0)
    assert least < ((low <= 0.5) & (high >= 0.5)).mean() < most
