"""How many null hypotheses are false at least."""

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from scipy.stats import binom, chi2, kstest, norm

from stillknows.analysis.lower_bound import false_nulls, false_one_by_one

FOUR_SUBJECTS = np.repeat(np.arange(4), 3)


def product_p(p: np.ndarray, subjects: np.ndarray) -> float:
    """The truncated product of a set, subject by subject, by its definition."""
    total, names = 0.0, set(subjects)
    for subject in names:
        own = p[subjects == subject]
        total += np.mean([-2 * np.log(value / 0.1) if value < 0.1 else 0 for value in own])
    if total == 0:
        return 1.0
    chances = [binom.pmf(k, len(names), 0.1) * chi2.sf(total, 2 * k) for k in range(1, 99)]
    return float(np.nansum(chances))


def by_all_subsets(p: np.ndarray, subjects: np.ndarray, alpha: float) -> tuple[int, list[bool]]:
    """Closed testing by its definition: a set is rejected if all of its supersets are.

    Returns the bound, and which hypotheses are rejected by themselves.

    The true nulls may be any set that is not rejected, so the largest one bounds their number.
    """
    n = len(p)
    sets = [frozenset(s) for size in range(n + 1) for s in combinations(range(n), size)]
    rejected = {s: product_p(p[[*s]], subjects[[*s]]) <= alpha + 1e-12 for s in sets if s}
    rejected[frozenset()] = False
    by_closed_test = {s: all(rejected[t] for t in sets if s <= t) for s in sets}
    bound = n - max(len(s) for s in sets if not by_closed_test[s])
    return bound, [by_closed_test[frozenset([number])] for number in range(n)]


@pytest.mark.parametrize("n", range(1, 8))
@pytest.mark.parametrize("facts_each", [1, 2, 4])
def test_bound_equals_closed_testing_over_all_subsets(n: int, facts_each: int) -> None:
    rng = np.random.default_rng(n)
    subjects = np.arange(n) // facts_each
    for alpha in (0.05, 0.2):
        for _ in range(10 if n < 7 else 2):
            p = np.ceil(rng.beta(0.3, 2, size=n) * 200) / 200
            found = false_nulls(p, subjects, alpha), false_one_by_one(p, subjects, alpha)
            assert found == by_all_subsets(p, subjects, alpha)


@pytest.mark.parametrize(
    ("p", "subjects", "at_least"),
    [
        ([], None, 0),
        ([0.5], None, 0),
        ([1 / 20], None, 1),  # equal to alpha
        ([1 / 25] * 24, None, 24),
        ([0.0], None, 1),
        ([1 / 1000] * 9 + [1.0] * 15, None, 8),
        ([1 / 60] * 9 + [1.0] * 15, None, 6),
        ([1 / 200] * 3 + [1.0] * 9, FOUR_SUBJECTS, 3),
        ([1 / 20] * 12, ["one"] * 12, 12),
        ([1 / 19] * 12, ["one"] * 12, 0),  # twelve facts of a subject are one p-value
    ],
)
def test_bound_by_hand(p: list[float], subjects: Any, at_least: int) -> None:
    assert false_nulls(p, subjects) == at_least


def test_one_by_one_needs_a_subject_that_can_be_told_apart() -> None:
    p = [1 / 200, 1.0, 1.0]
    assert false_one_by_one(p, ["a", "b", "c"]) == [True, False, False]
    assert false_one_by_one([1 / 200] + [1.0] * 20) == [False] * 21


@pytest.mark.parametrize("p", [[float("nan")], [-0.1], [1.1]])
def test_what_is_no_p_value_is_refused(p: list[float]) -> None:
    with pytest.raises(ValueError, match="from 0 to 1"):
        false_nulls(p)


def draw(rng: np.random.Generator, correlation: float, known: Sequence[bool]) -> np.ndarray:
    """Ranks of eight subjects with three facts each, as p-values."""
    shared = np.repeat(rng.normal(size=8), 3)
    z = np.sqrt(correlation) * shared + np.sqrt(1 - correlation) * rng.normal(size=24)
    return np.ceil(norm.sf(z + 3 * np.asarray(known)) * 200) / 200


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("known", [0, 6])
def test_bound_holds_for_dependent_facts_of_a_subject(correlation: float, known: int) -> None:
    rng, subjects = np.random.default_rng(1), np.repeat(np.arange(8), 3)
    is_known = np.arange(24) < known
    bounds = [false_nulls(draw(rng, correlation, is_known), subjects) for _ in range(300)]
    assert np.mean(np.array(bounds) > known) <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 300)


def test_nine_known_facts_among_fifteen_that_were_pushed_down() -> None:
    p = np.array([1 / 200] * 9 + [1.0] * 15)
    assert 8 <= false_nulls(p, np.arange(24) // 3) <= 9
    assert sum(false_one_by_one(p, np.arange(24) // 3)) <= 9


def test_a_single_p_value_stays_as_it_is() -> None:
    """With one hypothesis, the truncated product of p is p, where it is small."""
    rng = np.random.default_rng(0)
    p = rng.uniform(size=300)
    rejected = [false_nulls([value], alpha=0.07) for value in p]
    assert rejected == [int(value <= 0.07) for value in p]
    assert kstest(p, "uniform").pvalue > 0.01
