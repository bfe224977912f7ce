"""Sign-flip tests against brute force and scipy's, Holm's correction; who chooses, who decides."""

from itertools import product

import numpy as np
import pytest
import scipy.stats

from stillknows.analysis.claim_tests import (
    EXACT_UP_TO,
    FLIPS,
    Sides,
    assess,
    choosing,
    concepts_needed,
    holm,
    p_of_all,
    sign_flip_p,
    signs,
)


def by_hand(contrasts: list[float]) -> float:
    """The share of all choices of signs whose sum is as far from 0 as the observed one."""
    sums = [
        sum(sign * one for sign, one in zip(choice, contrasts, strict=True))
        for choice in product([1, -1], repeat=len(contrasts))
    ]
    return sum(abs(one) >= abs(sum(contrasts)) - 1e-12 for one in sums) / len(sums)


@pytest.mark.parametrize("concepts", range(1, 11))
def test_p_is_that_of_brute_force_and_of_scipy(concepts: int) -> None:
    contrasts = np.random.default_rng(concepts).normal(0.3, 0.5, concepts)
    p = float(sign_flip_p(contrasts))
    assert p == pytest.approx(by_hand(contrasts.tolist()))
    if concepts > 1:  # scipy needs two
        expected = scipy.stats.permutation_test(
            (contrasts,), np.mean, permutation_type="samples", n_resamples=np.inf
        ).pvalue
        assert p == pytest.approx(expected)


@pytest.mark.parametrize("concepts", [1, 5, 8, EXACT_UP_TO])
def test_the_smallest_p_is_two_in_all_choices_of_signs(concepts: int) -> None:
    assert sign_flip_p(np.linspace(0.1, 0.9, concepts)) == 2 / 2**concepts
    assert sign_flip_p(-np.linspace(0.1, 0.9, concepts)) == 2 / 2**concepts


def test_many_concepts_are_sampled_the_same_way_each_time() -> None:
    contrasts = np.random.default_rng(1).normal(0.1, 0.3, EXACT_UP_TO + 8)
    assert signs(len(contrasts), 3).shape == (FLIPS + 1, len(contrasts))
    assert sign_flip_p(contrasts, 3) == sign_flip_p(contrasts, 3)
    exact = by_hand(contrasts[:13].tolist())
    assert sign_flip_p(contrasts[:13]) == pytest.approx(exact, abs=0.02)
    assert sign_flip_p(np.ones(30)) == 1 / (FLIPS + 1)


def test_points_are_tested_each_and_all() -> None:
    contrasts = np.random.default_rng(2).normal(0.5, 0.4, (9, 3))
    each = sign_flip_p(contrasts)
    np.testing.assert_allclose(each, [sign_flip_p(one) for one in contrasts.T])
    assert p_of_all(contrasts) == each.max()
    contrasts[:, 1] -= 1
    assert p_of_all(contrasts) == 1


def test_nothing_and_rounding_decide_nothing() -> None:
    assert sign_flip_p(np.zeros(10)) == 1
    assert sign_flip_p(np.full(10, 3e-8)) == 1


def test_holm_is_that_of_a_hand_computation() -> None:
    p = np.array([0.04, 0.01, 0.03, 0.005])
    # Sorted .005, .01, .03, .04 times 4, 3, 2, 1: .02, .03, .06, .04; never falling.
    np.testing.assert_allclose(holm(p), [0.06, 0.03, 0.06, 0.02])
    np.testing.assert_allclose(holm(np.array([0.4, 0.9])), [0.8, 0.9])
    np.testing.assert_allclose(holm(np.array([0.6, 0.7])), [1.0, 1.0])


@pytest.mark.parametrize(
    ("claims", "concepts"), [(1, 6), (2, 7), (4, 8), (7, 9), (11, 9), (13, 10)]
)
def test_how_many_concepts_a_decision_needs(claims: int, concepts: int) -> None:
    assert concepts_needed(claims) == concepts
    assert 2 / 2**concepts <= 0.05 / claims < 2 / 2 ** (concepts - 1)


def test_a_family_of_true_null_hypotheses_is_decided_in_at_most_one_case_of_twenty() -> None:
    contrasts = np.random.default_rng(5).normal(0, 0.2, (9, 1000, 4))
    p = sign_flip_p(contrasts)
    wrong = np.mean([(holm(family) <= 0.05).any() for family in p])
    assert wrong < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 1000)


# Windows that some concepts choose and others decide at, on curves planted by hand.

CONCEPTS = [f"c{i}" for i in range(10)]


def sides(ahead: np.ndarray, behind: np.ndarray | None = None) -> Sides:
    return Sides(ahead, np.zeros((len(ahead), 1)) if behind is None else behind)


@pytest.mark.parametrize(("concepts", "count"), [(1, 1), (2, 1), (9, 1), (10, 1), (19, 1), (20, 2)])
def test_one_concept_in_ten_chooses(concepts: int, count: int) -> None:
    assert choosing([f"c{i}" for i in range(concepts)]).sum() == count


def test_the_window_is_the_others_choice_where_their_own_would_differ() -> None:
    """The one that chooses is highest at 1; those that decide would choose 2."""
    curves = np.tile([0.1, 0.6, 0.9, 0.2], (10, 1))
    chooses = choosing(CONCEPTS)
    curves[chooses] = [0.1, 0.8, 0.3, 0.2]
    all_of_them = sides(curves)
    chosen = all_of_them.of(chooses).highest()
    assert chosen == (1, 0)
    found = assess(all_of_them.of(~chooses), chosen, 0.5, at_most=False, seed=0)
    assert found["value"] == pytest.approx(0.6)
    assert (found["n"], found["p"], found["is_above"]) == (9, 2 / 2**9, True)
    assert all_of_them.of(~chooses).highest() == (2, 0)


def test_what_decides_never_chooses() -> None:
    """However the scores of those that decide are changed, the window stays."""
    rng = np.random.default_rng(0)
    chooses = choosing(CONCEPTS)
    curves = rng.normal(size=(10, 6))
    chosen = sides(curves).of(chooses).highest()
    curves[~chooses] = rng.normal(5, 1, (9, 6))
    assert sides(curves).of(chooses).highest() == chosen


def test_below_needs_every_window() -> None:
    """A chosen window below the threshold says nothing of the others."""
    curves = np.tile([0.1, 0.9, 0.2], (9, 1))
    found = assess(sides(curves), (0, 0), 0.5, at_most=False, seed=0)
    assert (found["value"], found["p"]) == (pytest.approx(0.1), 1.0)
    found = assess(sides(curves), (0, 0), 0.95, at_most=False, seed=0)
    assert (found["p"], found["is_above"]) == (2 / 2**9, False)


def test_a_claim_of_at_most_is_read_where_it_is_worst() -> None:
    curves = np.tile([0.01, 0.05, 0.02], (9, 1))
    found = assess(sides(curves), (0, 0), 0.1, at_most=True, seed=0)
    assert (found["value"], found["p"], found["is_above"]) == (pytest.approx(0.05), 2 / 2**9, False)


def test_a_lead_is_over_every_window_behind() -> None:
    ahead, behind = np.tile([0.2, 0.7], (9, 1)), np.tile([0.1, 0.6, 0.3], (9, 1))
    found = assess(sides(ahead, behind), (1, 0), 0.0, at_most=False, seed=0)
    assert (found["value"], found["p"]) == (pytest.approx(0.1), 2 / 2**9)
    behind[:, 2] = 0.8
    found = assess(sides(ahead, behind), (1, 0), 0.0, at_most=False, seed=0)
    assert (found["value"], found["p"]) == (pytest.approx(-0.1), 1.0)  # but it leads window 0
    found = assess(sides(ahead, behind), (1, 2), 0.0, at_most=False, seed=0)
    assert (found["p"], found["is_above"]) == (2 / 2**9, False)


def test_a_plateau_on_the_threshold_is_seldom_said_to_be_above_or_below_it() -> None:
    """docs/explanation/statistics.md: about 2.5 % each way at p <= 0.05."""
    rng, repetitions = np.random.default_rng(0), 600
    chooses = choosing(CONCEPTS)
    decided = []
    for _ in range(repetitions):
        curves = sides(rng.normal(0.5, 0.2, (10, 1)) + rng.normal(0, 0.2, (10, 12)))
        chosen = curves.of(chooses).highest()
        found = assess(curves.of(~chooses), chosen, 0.5, at_most=False, seed=0)
        decided.append(found["p"] <= 0.05)
    assert np.mean(decided) < 0.05 + 3 * np.sqrt(0.05 * 0.95 / repetitions)
