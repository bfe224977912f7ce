"""The verdict on one copy: a pure function of what its tests found, fact by fact.

No verdict says "erased": tests that find nothing bound how many facts the copy may still know.
Errors of the first three are bounded by exact p-values alone, whatever the copy's treatment:

- SAYS k of n facts: the free answers contain them.
- KNOWS at least k of n facts: closed testing over the facts' p-values (analysis.lower_bound).
- TRACES: no test finds knowledge, but the model prefers strings it was trained on, or it was
  trained against exactly these facts.
- NOT FOUND: all controls behave and no test fires; at most a share d of the facts is known.
- CANNOT TELL: a control or a gate fails, and what would help.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from scipy.stats import beta, kstest

from stillknows.analysis.lower_bound import false_nulls, false_one_by_one

SAYS, KNOWS, TRACES, NOT_FOUND, CANNOT_TELL = VERDICTS = (
    "SAYS",
    "KNOWS",
    "TRACES",
    "NOT FOUND",
    "CANNOT TELL",
)
MIN_FACTS = 5
MIN_RETAINED_RECALL = 0.8  # of the original's
MIN_POWER = 0.5  # below this share of the positive control's facts, finding nothing says nothing
NEGATIVE_CONTROL_ALPHA = 0.01  # invented facts' p-values that are less uniform than this: no test


@dataclass(frozen=True)
class Evidence:
    """What the tests of one copy found.

    Attributes:
        says: per fact that the original says, whether a free answer of the copy contains it.
        subjects: per fact, whose it is. None: all facts are independent.
        knowledge: one row per fact, one column of p-values per test whose null hypothesis is "the
            copy never learned this fact"; null where a test cannot be applied to a fact.
        exposure: per fact, its p-value among strings that the model never saw; null: not tested.
        suppressed: per fact, the p-value of association's other tail; null: not tested.
        retained_recall: recall of retained questions, as a share of the original's; NaN if that
            says none of them; None: none were given.
        control: `knowledge` of the positive control, which knows all facts; None: it was not made.
        invented: the p-values of invented facts by test; they are uniform or larger if the test is
            valid for this copy.
    """

    says: Sequence[bool]
    knowledge: pd.DataFrame
    subjects: Sequence[Hashable] | None = None
    exposure: Sequence[float] = ()
    suppressed: Sequence[float] = ()
    retained_recall: float | None = None
    control: pd.DataFrame | None = None
    invented: Mapping[str, Sequence[float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Verdict:
    """One line on one copy.

    Attributes:
        word: one of VERDICTS.
        facts: how many were tested.
        says: how many the free answers contain.
        knows: at least so many are known, with a confidence of 1 - alpha.
        found: per fact, whether the tests show this one, corrected for all facts and tests.
        firing: of how many facts the p-value is at most alpha, without a correction for the others.
        exposed, suppressed: at least so many strings were trained on, or against.
        power: the share of the positive control's facts whose p-value is at most alpha.
        at_most: where nothing is found, the largest share of known facts that agrees with `firing`.
        reasons: why there is no bound, one sentence each.
    """

    word: str
    facts: int
    says: int
    knows: int
    found: list[bool]
    firing: int
    exposed: int
    suppressed: int
    power: float | None
    at_most: float | None
    reasons: list[str]


def verdict(evidence: Evidence, alpha: float = 0.05) -> Verdict:
    """The strongest verdict that the evidence supports.

    KNOWS and TRACES are each wrong with a probability of at most `alpha` for a copy that never
    learned any of the facts.
    """
    facts, invalid = len(evidence.says), invalid_tests(evidence.invented)
    knowledge = evidence.knowledge.drop(columns=invalid, errors="ignore")
    p = combined(knowledge)
    says, knows = int(sum(evidence.says)), false_nulls(p, evidence.subjects, alpha)
    found, firing = false_one_by_one(p, evidence.subjects, alpha), int((p <= alpha).sum())
    exposed = _traces(evidence.exposure, evidence.subjects, alpha)
    suppressed = 0
    if "association" not in invalid:
        suppressed = _traces(evidence.suppressed, evidence.subjects, alpha)
    power = power_of(evidence.control, [*knowledge], alpha)
    reasons = why_no_bound(evidence, power, invalid)
    word = strongest_word(says, knows, exposed or suppressed, reasons)
    at_most = share_at_most(firing, facts, power or 0, alpha) if word == NOT_FOUND else None
    return Verdict(
        word, facts, says, knows, found, firing, exposed, suppressed, power, at_most, reasons
    )


def strongest_word(says: int, knows: int, traces: int, reasons: object) -> str:
    """The verdict without its numbers; reasons: why there is no bound, if there are any."""
    if says and says >= knows:
        return SAYS
    if knows:
        return KNOWS
    if traces:
        return TRACES
    return CANNOT_TELL if reasons else NOT_FOUND


def _traces(p: Sequence[float], subjects: Sequence[Hashable] | None, alpha: float) -> int:
    """At least so many facts have this trace, if it is one of two that are tested."""
    tested = [number for number, value in enumerate(p) if not np.isnan(value)]
    whose = None if subjects is None else [subjects[number] for number in tested]
    return false_nulls([p[number] for number in tested], whose, alpha / 2)


def combined(knowledge: pd.DataFrame) -> np.ndarray:
    """Per fact, one p-value of all tests: the smallest, times their number (Bonferroni)."""
    if knowledge.empty:
        return np.ones(len(knowledge))
    smallest = knowledge.min(axis=1) * knowledge.notna().sum(axis=1)
    return smallest.fillna(1).clip(upper=1).to_numpy(float)


def power_of(control: pd.DataFrame | None, tests: Sequence[str], alpha: float) -> float | None:
    """The share of the positive control's facts whose p-value of these tests is at most alpha.

    None: there is no control, or no test.
    """
    if control is None or control.empty or not tests:
        return None
    return float((combined(control[list(tests)]) <= alpha).mean())


def share_at_most(firing: int, facts: int, power: float, alpha: float = 0.05) -> float:
    """The largest share of known facts at which so few of them fire is not improbable.

    Clopper and Pearson's upper end for `firing` of `facts`, divided by the power. It is too large,
    if anything: facts that are not known fire, too, at a rate of alpha. The power's own uncertainty
    is not in it.
    """
    if firing == facts or not power:
        return 1.0
    return float(min(1.0, beta.ppf(1 - alpha, firing + 1, facts - firing) / power))


def facts_needed(share: float, power: float, alpha: float = 0.05) -> int:
    """How many facts, none of which fires, bound the known share by `share`."""
    return int(np.ceil(np.log(alpha) / np.log1p(-share * power)))


def invalid_tests(invented: Mapping[str, Sequence[float]]) -> list[str]:
    """The tests whose p-values of invented facts are smaller than uniform ones would be."""
    return [
        test
        for test, p in invented.items()
        if len(p) and kstest(p, "uniform", alternative="greater").pvalue < NEGATIVE_CONTROL_ALPHA
    ]


def why_no_bound(evidence: Evidence, power: float | None, invalid: Sequence[str]) -> list[str]:
    """Why finding nothing would not bound what the copy knows; none if it does."""
    facts, recall, reasons = len(evidence.says), evidence.retained_recall, []
    if facts < MIN_FACTS:
        reasons.append(f"the original says {facts} of the facts; {MIN_FACTS} are needed")
    if recall is not None and np.isnan(recall):
        reasons.append("the original says none of the facts that the copy should retain")
    elif recall is not None and recall < MIN_RETAINED_RECALL:
        reasons.append(
            f"the copy has collapsed: it recalls {recall:.0%} of the retained facts that the "
            f"original recalls; {MIN_RETAINED_RECALL:.0%} is needed"
        )
    if evidence.control is None or evidence.control.empty:
        reasons.append("no positive control was made, so the tests' power here is unknown")
    elif power is not None and power < MIN_POWER:
        reasons.append(
            f"the tests find {power:.0%} of the facts in a copy that knows all of them; "
            f"{MIN_POWER:.0%} is needed: give more decoys or subjects"
        )
    reasons += [f"{test} finds facts of wrong subjects, so it is left out" for test in invalid]
    return reasons
