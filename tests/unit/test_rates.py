"""Error rates: AUC, thresholds and rates against other implementations and planted scores."""

from itertools import pairwise

import numpy as np
import pytest
import scipy.stats
from sklearn.metrics import roc_auc_score

from dissect.analysis.bootstrap import INTERVAL, draws
from dissect.calibration.rates import (
    AT_MOST,
    Models,
    alarms_left_out,
    auc,
    auc_interval,
    best_threshold,
    is_at_most,
    rate,
)


def pairs(knows: list[float], never: list[float]) -> Models:
    """A knowing and a never-knowing model per round."""
    values = np.array([knows, never], float).T.ravel()
    is_knowing = np.tile([True, False], len(knows))
    return Models(values, is_knowing, np.repeat(np.arange(len(knows)), 2))


def random_models(seed: int, rounds: int = 9, each: int = 2, shift: float = 0.0) -> Models:
    """Models whose values repeat often, a few of them null."""
    rng = np.random.default_rng(seed)
    size = rounds * each * 2
    knows = np.tile([True, False], rounds * each)
    values = rng.integers(0, 6, size) + float(shift) * knows
    values[rng.random(size) < 0.1] = np.nan
    return Models(values, knows, np.repeat(np.arange(rounds), each * 2))


# ---- AUC --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("knows", "never", "expected"),
    [
        ([3, 4, 5], [0, 1, 2], 1.0),
        ([0, 1, 2], [3, 4, 5], 0.0),
        ([1, 1, 1], [1, 1, 1], 0.5),
        ([0, 3], [1, 2], 0.5),
        ([1, 2], [1, 0], 0.875),
        ([2, np.nan], [1, np.nan], 1.0),
    ],
)
def test_auc_of_planted_values(knows: list[float], never: list[float], expected: float) -> None:
    assert auc(np.array(knows, float), np.array(never, float)) == expected


@pytest.mark.parametrize("seed", range(20))
def test_auc_with_ties_is_that_of_scikit_learn(seed: int) -> None:
    models = random_models(seed, shift=seed % 3)
    kept = models.only(models.has_value)
    expected = roc_auc_score(kept.knows, kept.values)
    assert auc(models.of(True), models.of(False)) == pytest.approx(expected, abs=1e-12)


def test_the_interval_draws_whole_rounds() -> None:
    models = random_models(3, rounds=7, shift=1.0)
    of_round = [np.flatnonzero(models.rounds == number) for number in range(7)]
    sampled = []
    for counts in draws(7, 0).astype(int):
        drawn = np.concatenate([of_round[number] for number in np.repeat(range(7), counts)])
        resample = models.only(drawn)
        sampled.append(auc(resample.of(True), resample.of(False)))
    low, high = np.percentile(sampled, INTERVAL, method="inverted_cdf")
    assert auc_interval(models, 0) == pytest.approx((low, high), abs=1e-14)
    assert 0 < high - low < 1


@pytest.mark.parametrize("rounds", [5, 12, 59])
def test_perfect_separation_has_the_exact_bound(rounds: int) -> None:
    apart = pairs([1.0] * rounds, [0.0] * rounds)
    assert auc_interval(apart, 0) == (pytest.approx(0.05 ** (1 / rounds)), 1.0)
    reversed_ = pairs([0.0] * rounds, [1.0] * rounds)
    assert auc_interval(reversed_, 0) == (0.0, pytest.approx(1 - 0.05 ** (1 / rounds)))


@pytest.mark.parametrize("rounds", [1, 4])
def test_under_five_rounds_there_is_no_interval(rounds: int) -> None:
    assert np.isnan(auc_interval(pairs([1.0] * rounds, [0.0] * rounds), 0)).all()
    many = random_models(0, rounds=rounds, each=20)  # models are not what counts
    assert np.isnan(auc_interval(many, 0)).all()


# ---- thresholds -------------------------------------------------------------------------------


def gain_of(models: Models, threshold: float) -> float:
    """Power minus the rate of false alarms."""
    alarms = models.values > threshold
    return float(alarms[models.knows].mean() - alarms[~models.knows].mean())


def brute_threshold(models: Models) -> float:
    """The rule, candidate by candidate."""
    values = sorted({float(one) for one in models.values if np.isfinite(one)})
    best = (0.0, 0.0, 0.0, np.inf)
    for low, high in pairwise(values):
        middle = (low + high) / 2
        option = (round(gain_of(models, middle), 9), high - low, middle, middle)
        if option[0] > 0 and option[:3] > best[:3]:
            best = option
    return best[3]


@pytest.mark.parametrize("seed", range(30))
def test_alarms_are_those_of_a_loop_over_rounds(seed: int) -> None:
    models = random_models(seed, shift=seed % 4 / 1.5)
    expected = np.zeros(len(models.values), bool)
    for number in range(9):
        others = models.only(models.rounds != number)
        assert best_threshold(others) == brute_threshold(others)
        for model in np.flatnonzero(models.rounds == number):
            expected[model] = models.values[model] > brute_threshold(others)
    found = alarms_left_out(models)
    assert found is not None
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("knows", "never"),
    [([1.0, 1.0], [1.0, 1.0]), ([0.0, 0.0], [1.0, 1.0]), ([np.nan, np.nan], [1.0, 2.0])],
)
def test_without_more_power_than_false_alarms_nothing_is_an_alarm(
    knows: list[float], never: list[float]
) -> None:
    assert best_threshold(pairs(knows, never)) == np.inf


def test_a_null_score_is_no_alarm_but_counts() -> None:
    models = pairs([1.0, np.nan, 1.0, 1.0], [0.0, 0.0, np.nan, 0.0])
    found = alarms_left_out(models)
    assert found is not None
    assert found[models.knows].tolist() == [True, False, True, True]
    assert not found[~models.knows].any()


def test_a_missing_model_leaves_its_round_in_use() -> None:
    whole = pairs([1.0, 0.9, 0.8], [0.0, 0.1, 0.2])
    models = whole.only(np.arange(6) != 1)  # the never-knowing one of round 0
    found = alarms_left_out(models)
    assert found is not None
    assert found.tolist() == [True, True, False, True, False]


def test_the_own_round_has_no_part_in_its_threshold() -> None:
    # With its own round, the second round's models would be apart at 5.
    models = pairs([1.0, 10.0], [0.0, 4.0])
    found = alarms_left_out(models)
    assert found is not None
    # Round 0 is judged by 7, round 1 by 0.5.
    assert found.tolist() == [False, False, True, True]


def test_scores_without_information_have_as_many_false_alarms_as_power() -> None:
    rng = np.random.default_rng(11)
    differences = []
    for _ in range(300):
        models = pairs(list(rng.normal(size=12)), list(rng.normal(size=12)))
        found = alarms_left_out(models)
        assert found is not None
        differences.append(found[models.knows].mean() - found[~models.knows].mean())
    # The true mean is 0 or below: a threshold fitted to the others suits the left-out round less.
    error = np.std(differences) / np.sqrt(len(differences))
    assert abs(np.mean(differences)) < 0.05 and error < 0.02


# ---- rates ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "models"), [(0, 12), (1, 12), (6, 12), (12, 12), (3, 59)])
def test_intervals_of_rates_are_quantiles_of_beta(count: int, models: int) -> None:
    beta = scipy.stats.beta
    low = beta.ppf(0.025, count, models - count + 1) if count else 0.0
    high = beta.ppf(0.975, count + 1, models - count) if count < models else 1.0
    found = rate(count, models)
    assert (found.count, found.value) == (count, count / models)
    assert (found.low, found.high) == pytest.approx((low, high))


@pytest.mark.parametrize(
    ("count", "models", "expected"),
    [(0, 58, False), (0, 59, True), (1, 59, False), (1, 92, False), (1, 93, True)],
)
def test_at_most_5_percent_needs_the_upper_bound(count: int, models: int, expected: bool) -> None:
    assert is_at_most(count, models) is expected
    bound = scipy.stats.beta.ppf(0.95, count + 1, models - count)
    assert (bound <= AT_MOST) == expected
