"""Error rates: AUC, thresholds and rates against other implementations and planted scores."""

import numpy as np
import pytest
import scipy.stats
from sklearn.metrics import roc_auc_score

from stillknows.analysis.bootstrap import INTERVAL, draws
from stillknows.analysis.calibration.rates import (
    Models,
    alarm_threshold,
    alarms_left_out,
    auc,
    auc_difference,
    auc_interval,
    false_alarm_bound,
    interval_of_share,
)


def pairs(taught: list[float], never: list[float]) -> Models:
    """A taught and a never-taught model per round."""
    values = np.array([taught, never], float).T.ravel()
    is_taught = np.tile([True, False], len(taught))
    return Models(values, is_taught, np.repeat(np.arange(len(taught)), 2))


def random_models(seed: int, rounds: int = 9, each: int = 2, shift: float = 0.0) -> Models:
    """Models whose values repeat often, a few of them null."""
    rng = np.random.default_rng(seed)
    size = rounds * each * 2
    taught = np.tile([True, False], rounds * each)
    values = rng.integers(0, 6, size) + float(shift) * taught
    values[rng.random(size) < 0.1] = np.nan
    return Models(values, taught, np.repeat(np.arange(rounds), each * 2))


# ---- AUC --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("taught", "never", "expected"),
    [
        ([3, 4, 5], [0, 1, 2], 1.0),
        ([0, 1, 2], [3, 4, 5], 0.0),
        ([1, 1, 1], [1, 1, 1], 0.5),
        ([0, 3], [1, 2], 0.5),
        ([1, 2], [1, 0], 0.875),
        ([2, np.nan], [1, np.nan], 1.0),
        ([np.nan], [1.0], np.nan),
    ],
)
def test_auc_of_planted_values(taught: list[float], never: list[float], expected: float) -> None:
    assert auc(pairs(taught, never)) == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize("seed", range(20))
def test_auc_with_ties_is_that_of_scikit_learn(seed: int) -> None:
    models = random_models(seed, shift=seed % 3)
    kept = models.only(models.has_value)
    expected = roc_auc_score(kept.taught, kept.values)
    assert auc(models) == pytest.approx(expected, abs=1e-12)


def test_the_interval_draws_whole_rounds() -> None:
    models = random_models(3, rounds=7, shift=1.0)
    of_round = [np.flatnonzero(models.rounds == number) for number in range(7)]
    sampled = []
    for counts in draws(7, 0).astype(int):
        drawn = np.concatenate([of_round[number] for number in np.repeat(range(7), counts)])
        resample = models.only(drawn)
        sampled.append(auc(resample))
    low, high = np.percentile(sampled, INTERVAL, method="inverted_cdf")
    assert auc_interval(models, 0) == pytest.approx((low, high), abs=1e-14)
    assert 0 < high - low < 1


def test_separated_states_have_no_interval() -> None:
    """All resamples are equal, which does not mean that the AUC is known."""
    assert np.isnan(auc_interval(pairs([1.0] * 12, [0.0] * 12), 0)).all()
    assert np.isnan(auc_interval(pairs([0.0] * 12, [1.0] * 12), 0)).all()


def test_a_difference_is_paired() -> None:
    """Both scores are wrong in the same rounds, and one of them a little more often."""
    rng = np.random.default_rng(2)
    shared = random_models(4, rounds=12, each=3, shift=1.5)
    better = Models(shared.values + 0.5 * shared.taught, shared.taught, shared.rounds)
    noise = Models(rng.normal(size=len(shared.values)), shared.taught, shared.rounds)
    of_both = auc_difference(better, shared, 0)
    assert of_both.value == pytest.approx(auc(better) - auc(shared))
    assert of_both.low <= of_both.value <= of_both.high and of_both.n == 12
    assert of_both.high - of_both.low < np.diff(auc_interval(shared, 0))[0]
    assert auc_difference(shared, shared, 0).high == 0
    assert auc_difference(better, noise, 0).low > 0


def test_a_difference_counts_models_that_have_both_scores() -> None:
    one, other = pairs([1.0, 0.0, 1.0], [0.0, 1.0, 0.0]), pairs([1.0, np.nan, 1.0], [0.0] * 3)
    difference = auc_difference(one, other, 0)
    assert difference.value == pytest.approx(auc(one.only(other.has_value)) - 1)
    assert difference.n == 2 and np.isnan(difference.low)


@pytest.mark.parametrize("rounds", [1, 4])
def test_under_five_rounds_there_is_no_interval(rounds: int) -> None:
    assert np.isnan(auc_interval(pairs([1.0] * rounds, [0.0] * rounds), 0)).all()
    many = random_models(0, rounds=rounds, each=20)  # models are not what counts
    assert np.isnan(auc_interval(many, 0)).all()


# ---- thresholds -------------------------------------------------------------------------------


def test_the_threshold_is_the_extreme_of_the_never_taught() -> None:
    models = pairs([0.9, 0.2, 0.7], [0.1, 0.6, np.nan])
    assert alarm_threshold(models) == 0.6
    assert false_alarm_bound(models) == 1 / 3  # two rounds have a never-taught value
    assert np.isnan(alarm_threshold(pairs([1.0], [np.nan])))


@pytest.mark.parametrize("seed", range(10))
def test_alarms_are_those_of_a_loop_over_rounds(seed: int) -> None:
    models = random_models(seed, shift=seed % 4 / 1.5)
    expected = np.zeros(len(models.values), bool)
    for n, (value, number) in enumerate(zip(models.values, models.rounds, strict=True)):
        others = ~models.taught & (models.rounds != number)
        expected[n] = value > np.nanmax(models.values[others])
    alarms = alarms_left_out(models)
    assert alarms is not None
    np.testing.assert_array_equal(alarms, expected)


def test_at_most_one_new_round_in_n_plus_1_has_a_false_alarm() -> None:
    """However many models a round has, and however alike they are within a round."""
    rng = np.random.default_rng(11)
    trials, n, each = 2000, 9, 4
    values = rng.normal(size=(trials, n + 1, 1)) + 0.3 * rng.normal(size=(trials, n + 1, each))
    hits = 0
    for trial in values:
        old = Models(trial[:n].ravel(), np.zeros(n * each, bool), np.repeat(np.arange(n), each))
        hits += bool((trial[n] > alarm_threshold(old)).any())
    bound = false_alarm_bound(old)
    assert bound == 1 / (n + 1)
    assert hits / trials == pytest.approx(bound, abs=0.025)


def test_a_null_score_is_no_alarm_but_counts() -> None:
    models = pairs([1.0, np.nan, 1.0, 1.0], [0.0, 0.0, np.nan, 0.0])
    alarms = alarms_left_out(models)
    assert alarms is not None
    assert alarms[models.taught].tolist() == [True, False, True, True]
    assert not alarms[~models.taught].any()


def test_one_round_has_no_threshold_from_others() -> None:
    assert alarms_left_out(pairs([1.0], [0.0])) is None
    assert alarms_left_out(pairs([1.0, 1.0], [0.0, np.nan])) is None


# ---- rates ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "models"), [(0, 12), (1, 12), (6, 12), (12, 12), (3, 59)])
def test_intervals_of_rates_are_quantiles_of_beta(count: int, models: int) -> None:
    beta = scipy.stats.beta
    low = beta.ppf(0.025, count, models - count + 1) if count else 0.0
    high = beta.ppf(0.975, count + 1, models - count) if count < models else 1.0
    assert interval_of_share(count, models) == pytest.approx((low, high))
