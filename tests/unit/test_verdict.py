"""The verdict: what it says of evidence that is known, and how often it errs."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from stillknows.analysis.verdict import (
    CANNOT_TELL,
    KNOWS,
    NOT_FOUND,
    SAYS,
    TRACES,
    Evidence,
    facts_needed,
    share_at_most,
    verdict,
)

SMALLEST = 1 / 1000


def table(*p: float) -> pd.DataFrame:
    return pd.DataFrame({"association": p})


def evidence(p: list[float], **more: Any) -> Evidence:
    given = {"says": [False] * len(p), "control": table(*[SMALLEST] * len(p)), **more}
    return Evidence(knowledge=table(*p), **given)


def test_free_answers_are_said() -> None:
    found = verdict(evidence([SMALLEST] * 9, says=[True] * 9))
    assert (found.word, found.says, found.knows) == (SAYS, 9, 9)


def test_knowledge_that_is_not_said() -> None:
    found = verdict(evidence([SMALLEST] * 4 + [0.9] * 5))
    assert (found.word, found.knows, found.found) == (KNOWS, 4, [True] * 4 + [False] * 5)
    assert found.at_most is None


def test_known_facts_among_suppressed_ones() -> None:
    found = verdict(evidence([SMALLEST] * 9 + [1.0] * 15, suppressed=[1.0] * 9 + [SMALLEST] * 15))
    # The last of each could be chance.
    assert (found.word, found.knows, found.suppressed) == (KNOWS, 8, 14)


@pytest.mark.parametrize("traces", ["exposure", "suppressed"])
def test_a_familiar_string_is_no_knowledge(traces: str) -> None:
    found = verdict(evidence([0.5] * 9, **{traces: [SMALLEST] * 6 + [0.7] * 3}))
    assert (found.word, found.knows) == (TRACES, 0)


def test_nothing_found_bounds_the_share() -> None:
    found = verdict(evidence([0.5] * 12))
    assert found.word == NOT_FOUND
    assert found.at_most == pytest.approx(1 - 0.05 ** (1 / 12))


@pytest.mark.parametrize(
    "more",
    [
        {"control": None},
        {"control": table(*[0.5] * 9)},
        {"retained_recall": 0.7},
        {"retained_recall": float("nan")},
        {"invented": {"association": [0.001] * 20}},
        {"says": [False] * 4, "p": [0.5] * 4},
    ],
    ids=[
        "no control",
        "control not found",
        "collapsed",
        "nothing retained",
        "invented facts known",
        "few facts",
    ],
)
def test_no_bound_without_gates_and_controls(more: dict[str, Any]) -> None:
    found = verdict(evidence(more.pop("p", [0.5] * 9), **more))
    assert found.word == CANNOT_TELL
    assert found.reasons
    assert found.at_most is None


def test_a_test_that_knows_invented_facts_finds_nothing() -> None:
    found = verdict(evidence([SMALLEST] * 9, invented={"association": [0.001] * 20}))
    assert (found.word, found.knows) == (CANNOT_TELL, 0)


def test_facts_of_one_subject_count_as_two() -> None:
    p, alone = [0.03] * 4 + [0.5] * 8, ["one"] * 4 + [*range(8)]
    assert verdict(evidence(p)).word == KNOWS
    assert verdict(evidence(p, subjects=alone)).word == NOT_FOUND


def test_traces_are_only_counted_where_they_were_tested() -> None:
    untested = [float("nan")] * 6
    found = verdict(evidence([0.5] * 9, exposure=[*untested, *[SMALLEST] * 3], subjects=[1] * 9))
    assert (found.word, found.exposed, found.suppressed) == (TRACES, 3, 0)


def test_a_collapsed_copy_may_still_be_found_to_know() -> None:
    assert verdict(evidence([SMALLEST] * 9, retained_recall=0.1)).word == KNOWS


def test_a_further_test_costs_a_correction() -> None:
    p, more = table(*[0.03] * 9), pd.DataFrame({"depth": [0.5] * 9})
    assert all(verdict(Evidence([False] * 9, p)).found)
    assert not any(verdict(Evidence([False] * 9, p.join(more))).found)


def test_a_fact_that_a_test_cannot_judge_counts_as_not_found() -> None:
    assert verdict(evidence([float("nan")] * 9)).word == NOT_FOUND


def test_a_share_that_is_known_is_rarely_above_its_bound() -> None:
    """3 of 12 facts are known, and each is found with a probability of 0.6."""
    generator = np.random.default_rng(1)
    missed = []
    for _ in range(2_000):
        p = generator.uniform(size=12)
        p[:3] = np.where(generator.uniform(size=3) < 0.6, 0.01, p[:3])
        missed.append(share_at_most(int((p <= 0.05).sum()), 12, 0.6) < 3 / 12)
    assert np.mean(missed) < 0.06


def test_facts_needed_is_the_inverse_of_the_share() -> None:
    for share, power in [(0.22, 1), (0.1, 0.8), (0.05, 0.5)]:
        needed = facts_needed(share, power)
        assert share_at_most(0, needed, power) <= share < share_at_most(0, needed - 1, power)


def test_errors_of_a_copy_that_never_learned() -> None:
    """Of 4,000 copies at a rate of 0.05, more than 0.06 have a probability of 0.003."""
    generator = np.random.default_rng(1)
    words = []
    for _ in range(4_000):
        p, exposure, suppressed = generator.integers(1, 1001, (3, 12)) / 1000
        given = {"exposure": list(exposure), "suppressed": list(suppressed)}
        words.append(verdict(evidence([*p], **given)).word)
    assert np.mean([word == KNOWS for word in words]) < 0.06
    assert np.mean([word == TRACES for word in words]) < 0.06
