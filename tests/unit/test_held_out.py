"""Windows that some concepts choose and others decide at, on curves planted by hand."""

import numpy as np
import pytest

from stillknows.analysis.held_out import Chosen, Sides, assess, choosing

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
    assert chosen == Chosen(1, 0)
    found = assess(all_of_them.of(~chooses), chosen, 0.5, at_most=False, seed=0)
    assert found.number.value == pytest.approx(0.6)
    assert (found.number.n, found.p, found.is_above) == (9, 2 / 2**9, True)
    assert all_of_them.of(~chooses).highest() == Chosen(2, 0)


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
    found = assess(sides(curves), Chosen(0, 0), 0.5, at_most=False, seed=0)
    assert (found.number.value, found.p) == (pytest.approx(0.1), 1.0)
    found = assess(sides(curves), Chosen(0, 0), 0.95, at_most=False, seed=0)
    assert (found.p, found.is_above) == (2 / 2**9, False)


def test_a_claim_of_at_most_is_read_where_it_is_worst() -> None:
    curves = np.tile([0.01, 0.05, 0.02], (9, 1))
    found = assess(sides(curves), Chosen(0, 0), 0.1, at_most=True, seed=0)
    assert (found.number.value, found.p, found.is_above) == (pytest.approx(0.05), 2 / 2**9, False)


def test_a_lead_is_over_every_window_behind() -> None:
    ahead, behind = np.tile([0.2, 0.7], (9, 1)), np.tile([0.1, 0.6, 0.3], (9, 1))
    found = assess(sides(ahead, behind), Chosen(1, 0), 0.0, at_most=False, seed=0)
    assert (found.number.value, found.p) == (pytest.approx(0.1), 2 / 2**9)
    behind[:, 2] = 0.8
    found = assess(sides(ahead, behind), Chosen(1, 0), 0.0, at_most=False, seed=0)
    assert (found.number.value, found.p) == (pytest.approx(-0.1), 1.0)  # but it leads window 0
    found = assess(sides(ahead, behind), Chosen(1, 2), 0.0, at_most=False, seed=0)
    assert (found.p, found.is_above) == (2 / 2**9, False)


def test_a_plateau_on_the_threshold_is_seldom_said_to_be_above_or_below_it() -> None:
    """docs/explanation/statistics.md: about 2.5 % each way at p <= 0.05."""
    rng, repetitions = np.random.default_rng(0), 600
    chooses = choosing(CONCEPTS)
    decided = []
    for _ in range(repetitions):
        curves = sides(rng.normal(0.5, 0.2, (10, 1)) + rng.normal(0, 0.2, (10, 12)))
        chosen = curves.of(chooses).highest()
        found = assess(curves.of(~chooses), chosen, 0.5, at_most=False, seed=0)
        decided.append(found.p <= 0.05)
    assert np.mean(decided) < 0.05 + 3 * np.sqrt(0.05 * 0.95 / repetitions)
