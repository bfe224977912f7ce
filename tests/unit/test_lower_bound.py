"""How many null hypotheses are false at least."""

from itertools import combinations

import numpy as np
import pytest
from scipy.stats import false_discovery_control, norm

from stillknows.analysis.lower_bound import false_nulls, false_one_by_one


def simes_p(p: np.ndarray) -> float:
    """The smallest p-value that Benjamini and Hochberg adjusted is that of Simes' test."""
    return float(false_discovery_control(p).min())


def by_all_subsets(p: np.ndarray, alpha: float) -> tuple[int, list[bool]]:
    """Closed testing by its definition: a set is rejected if all of its supersets are.

    Returns the bound, and which hypotheses are rejected by themselves.

    The true nulls may be any set that is not rejected, so the largest one bounds their number.
    """
    n = len(p)
    sets = [frozenset(s) for size in range(n + 1) for s in combinations(range(n), size)]
    rejected = {s: bool(s) and simes_p(p[sorted(s)]) <= alpha + 1e-12 for s in sets}
    by_closed_test = {s: all(rejected[t] for t in sets if s <= t) for s in sets}
    bound = n - max(len(s) for s in sets if not by_closed_test[s])
    return bound, [by_closed_test[frozenset([number])] for number in range(n)]


@pytest.mark.parametrize("n", range(1, 8))
def test_bound_equals_closed_testing_over_all_subsets(n: int) -> None:
    rng = np.random.default_rng(n)
    for _ in range(20 if n < 7 else 5):
        p = rng.beta(0.3, 2, size=n)
        assert (false_nulls(p), false_one_by_one(p)) == by_all_subsets(p, 0.05)


def test_bound_equals_closed_testing_for_ranks() -> None:
    rng = np.random.default_rng(0)
    for _ in range(5):
        p = rng.integers(1, 21, size=8) ** 2 / 400
        assert (false_nulls(p, 0.2), false_one_by_one(p, 0.2)) == by_all_subsets(p, 0.2)


@pytest.mark.parametrize(
    ("p", "at_least"),
    [
        ([], 0),
        ([0.5], 0),
        ([1 / 20], 1),  # equal to alpha
        ([1 / 25] * 24, 24),
        ([1 / 1000] * 9 + [1.0] * 15, 9),
        ([1 / 60] * 9 + [1.0] * 15, 2),  # ranks among 59 can say no more
    ],
)
def test_bound_by_hand(p: list[float], at_least: int) -> None:
    assert false_nulls(p) == at_least


@pytest.mark.parametrize("p", [[float("nan")], [-0.1], [1.1]])
def test_what_is_no_p_value_is_refused(p: list[float]) -> None:
    with pytest.raises(ValueError, match="from 0 to 1"):
        false_nulls(p)


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.9])
def test_bound_holds_for_dependent_facts_of_a_subject(correlation: float) -> None:
    """Eight subjects with three facts each; those of the first two subjects are known."""
    rng = np.random.default_rng(1)
    is_known = np.arange(24) < 6
    exceeded = 0
    for _ in range(1000):
        shared = np.repeat(rng.normal(size=8), 3)
        z = np.sqrt(correlation) * shared + np.sqrt(1 - correlation) * rng.normal(size=24)
        rank = np.ceil(norm.sf(z + 3 * is_known) * 100)
        exceeded += false_nulls(rank / 100) > is_known.sum()
    assert exceeded <= 50 + 2 * np.sqrt(1000 * 0.05 * 0.95)
