"""Ranks, their p-values, and how many facts are known at least."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from stillknows.analysis.lower_bound import false_nulls, simes_rejects
from stillknows.analysis.ranks import RANK_COLUMNS, fisher, rank_p, rank_table

NAN = float("nan")


@pytest.mark.parametrize(
    ("true", "others", "rank"),
    [
        (-1.0, [-2, -3, -4], 1),
        (-2.5, [-2, -3, -4], 2),
        (-5.0, [-2, -3, -4], 4),
        (-2.0, [-2, -2, -4], 3),  # ties count against the fact
        (-1.0, [NAN, -3, -4], 2),
        (NAN, [-2, -3, -4], 4),
        (-1.0, [], 1),
    ],
)
def test_rank_and_p(true: float, others: list[float], rank: int) -> None:
    assert rank_p(true, others) == (rank, rank / (len(others) + 1))


def test_table_of_ranks() -> None:
    candidates = pd.DataFrame(
        [
            (0, "exposure", "given", "tea", "tea", True, 2, -2.0),
            (0, "exposure", "given", "tea", "milk", False, 1, -1.0),
            (0, "exposure", "given", "tea", "beer", False, 3, -4.0),
            (0, "association", "file", "tea", "Ilsa", True, 2, -2.0),
            (0, "association", "file", "tea", "Berta", False, 2, -1.5),
            (1, "exposure", "recombined", "red", "red", True, 2, -1.0),
        ],
        columns=["question", "score", "rule", "fact", "candidate", "is_true", "tokens", "logprob"],
    )
    table = rank_table(candidates)
    assert table.columns.tolist() == RANK_COLUMNS
    assert table["rank"].tolist() == [2, 2, 1] and table["m"].tolist() == [2, 1, 0]
    assert table["p"].tolist() == [2 / 3, 1, 1]
    assert table["p_suppressed"].tolist()[1] == 0.5
    assert table["p_suppressed"].isna().tolist() == [True, False, True]
    assert table["best_other"].tolist()[:2] == ["milk", "Berta"]
    assert table["logprob_best_other"].tolist()[:2] == [-1.0, -1.5]
    assert pd.isna(table["best_other"][2])


def test_fisher() -> None:
    assert fisher([0.03]) == pytest.approx(0.03)
    assert fisher([0.1, 0.1]) == pytest.approx(0.01 * (1 - np.log(0.01)))
    assert np.isnan(fisher([]))


def by_all_subsets(p: np.ndarray, alpha: float) -> int:
    """Closed testing as it is defined: a set counts if all of its supersets are rejected.

    Not rejected by the closed test: whatever some set that Simes does not reject contains. The true
    nulls may be any such set, so the largest one bounds their number.
    """
    n = len(p)
    sets = [frozenset(s) for size in range(n + 1) for s in combinations(range(n), size)]
    rejected = {s: simes_rejects(np.sort(p[sorted(s)]), alpha) for s in sets}
    by_closed_test = {s: all(rejected[t] for t in sets if s <= t) for s in sets}
    return n - max(len(s) for s in sets if not by_closed_test[s])


@pytest.mark.parametrize("n", range(1, 8))
def test_bound_equals_closed_testing_over_all_subsets(n: int) -> None:
    rng = np.random.default_rng(n)
    for _ in range(20 if n < 7 else 5):
        p = rng.beta(0.3, 2, size=n)
        assert false_nulls(p) == by_all_subsets(p, 0.05)


def test_bound_equals_closed_testing_for_ranks() -> None:
    rng = np.random.default_rng(0)
    for _ in range(5):
        p = rng.integers(1, 21, size=8) ** 2 / 400
        assert false_nulls(p, 0.2) == by_all_subsets(p, 0.2)


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


@pytest.mark.parametrize("p", [[NAN], [-0.1], [1.1]])
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
