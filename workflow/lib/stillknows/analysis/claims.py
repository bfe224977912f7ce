"""tables/claims.csv: the claims of the paper, decided by the results of this study.

Y. Hong et al., Dissecting Fine-Tuning Unlearning in Large Language Models, EMNLP 2024. The full
text was unavailable: claims and thresholds are this project's reading of the abstract and of a
summary of section 3, written when results of config/pretrained.yaml were known. Four thresholds
on the scale of KRS, from 0 (the unlearned model's logits) to 1 (the original's), serve all:

    0.1  about nothing: within a tenth of the way
    0.5  much: half of the way
    0.7  very much: half way between much and what the paper reports for both components
    0.9  what the paper reports for both components together
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import compress, product
from typing import Any, Literal

import numpy as np
import pandas as pd

from stillknows.analysis.bootstrap import NOTHING, mean_of_present
from stillknows.analysis.claim_tests import LEVEL, Sides, assess, choosing, concepts_needed, holm
from stillknows.analysis.statistics import Mask, window_group
from stillknows.analysis.tables import (
    ALL_METHODS,
    DONOR,
    KL_RECOVERED,
    LOGPROB_RECOVERED,
    CurveGroup,
    curve_groups,
)
from stillknows.engine.windows import window_width
from stillknows.terms import (
    ANSWER,
    ATTENTION,
    BOTH,
    COMPARED_WITH,
    KRS,
    MLP_COEFFICIENTS,
    VALUE_VECTORS,
)

SUPPORTED, NOT_SUPPORTED = "supported", "not supported"
MIXED, UNDECIDED = "mixed", "undecided"
PRIMARY, EXPLORATORY = "primary", "exploratory"

# In which a supported claim has to have the same sign; both over the answer span.
OTHER_SCORES = [KL_RECOVERED, LOGPROB_RECOVERED]
CLAIM_SCORES = [KRS, *OTHER_SCORES]
# Scores are cut at once the loss beyond nothing and beyond all: they have no lower bound, and one
# concept of which little was lost would outweigh all others.
_CUT = (-1.0, 2.0)

CLAIM_COLUMNS = [
    *("id", "claim", "model", "origin", "method", "window", "span", "family"),
    *("value", "low", "high", "n", "p", "p_holm", "n_needed", *OTHER_SCORES),
    *("verdict", "note", "statistic", "bound", "threshold", "reason"),
]
_TEXTS = dict.fromkeys(["model", "origin", "method", "span"], str)
_ONLY_HIGHER = "Whether one is higher than the other needs no other threshold than 0."


@dataclass(frozen=True)
class Peak:
    """The highest point of a curve in a group of windows (statistics.window_group)."""

    experiment: str
    group: str = "all"
    weight: float = 1.0
    either_sign: bool = False  # the point that is furthest from 0, without its sign


@dataclass(frozen=True)
class Claim:
    """A claim: the highest point `ahead`, less `behind` if given, compared with a threshold."""

    id: str
    claim: str
    statistic: str  # the number, in words
    ahead: Peak | None  # None: not read off curves
    behind: Peak | None = None
    bound: Literal["at least", "above", "at most"] = "above"
    threshold: float = 0.0
    reason: str = _ONLY_HIGHER  # why this statistic, and why this threshold
    window: str = ""  # the first sliding window of the config
    primary: bool = False  # of the family whose error rate is controlled

    @property
    def at_most(self) -> bool:
        return self.bound == "at most"


CLAIMS = (
    Claim(
        "value_vectors_nothing",
        "Value vectors alone recover almost nothing.",
        "the largest absolute value of the value vectors' mean curve",
        Peak(VALUE_VECTORS, either_sign=True),
        bound="at most",
        threshold=0.1,
        reason="Every layer and both signs count, since harm is an effect, too. A KRS of "
        "0.1 cannot be distinguished from 0 on the paper's axis.",
        primary=True,
    ),
    Claim(
        "attention_much",
        "Attention output of the middle and late layers recovers much.",
        "the highest point of attention's curve in the upper two thirds of layers, at the window "
        "chosen on other concepts",
        Peak(ATTENTION, "middle and late"),
        bound="at least",
        threshold=0.5,
        reason="At least half is recovered.",
        primary=True,
    ),
    Claim(
        "attention_not_early",
        "Attention output of the middle and late layers recovers more than that of the early ones.",
        "attention's highest point in the upper two thirds of layers, at the window chosen on "
        "other concepts, minus its highest in the lowest third",
        Peak(ATTENTION, "middle and late"),
        Peak(ATTENTION, "early"),
    ),
    Claim(
        "coefficients_very_much",
        "MLP coefficients of the late layers recover very much.",
        "the highest point of the coefficients' curve in the last third of layers, at the window "
        "chosen on other concepts",
        Peak(MLP_COEFFICIENTS, "late"),
        bound="at least",
        threshold=0.7,
        reason="Half way between the thresholds of 'much' and of both components together.",
        primary=True,
    ),
    Claim(
        "coefficients_late",
        "MLP coefficients of the late layers recover more than those of the layers before.",
        "the coefficients' highest point in the last third of layers, at the window chosen on "
        "other concepts, minus their highest before it",
        Peak(MLP_COEFFICIENTS, "late"),
        Peak(MLP_COEFFICIENTS, "early and middle"),
    ),
    Claim(
        "last_layer_needed",
        "MLP coefficients: windows with the last layer recover more than those without.",
        "the coefficients' highest point among windows that cover the last layer, at the window "
        "chosen on other concepts, minus their highest among windows that do not",
        Peak(MLP_COEFFICIENTS, "with last layer"),
        Peak(MLP_COEFFICIENTS, "without last layer"),
        reason=f"If the last layer contributes most, no window without it does as well. "
        f"{_ONLY_HIGHER}",
    ),
    Claim(
        "last_layer_best",
        "MLP coefficients: the last layer alone recovers more than any other layer alone.",
        "the coefficients of the last layer alone, minus the highest of any other layer alone",
        Peak(MLP_COEFFICIENTS, "with last layer"),
        Peak(MLP_COEFFICIENTS, "without last layer"),
        reason=f"The layer that contributes most gives more than any other. {_ONLY_HIGHER}",
        window="sliding_1",
    ),
    Claim(
        "last_layer_half",
        "MLP coefficients: the last layer alone recovers at least half of what the best suffix "
        "recovers.",
        "the coefficients of the last layer alone, minus half of the highest that any suffix "
        "(a layer and all above) gives",
        Peak(MLP_COEFFICIENTS, "topmost"),
        Peak(MLP_COEFFICIENTS, weight=0.5),
        bound="at least",
        reason="The last layer alone recovers at least as much as all other layers add to it.",
        window="suffix",
    ),
    Claim(
        "both_nearly_all",
        "Coefficients and attention together peak at 0.9 or more.",
        "the highest point of their curve, at the window chosen on other concepts",
        Peak(BOTH),
        bound="at least",
        threshold=0.9,
        reason="The number is the paper's.",
        primary=True,
    ),
    Claim(
        "both_over_value_vectors",
        "Coefficients and attention recover far more than value vectors.",
        "the highest point of coefficients and attention, at the window chosen on other concepts, "
        "minus that of value vectors",
        Peak(BOTH),
        Peak(VALUE_VECTORS),
        bound="at least",
        threshold=0.5,
        reason="The difference alone must be 'much'. The paper concludes from it that unlearning "
        "changes how knowledge is retrieved, not what is stored; that conclusion needs a "
        "reference model.",
    ),
)
# Read off the models' answers.
UNRELATED = Claim(
    "unrelated_harmed",
    "Unlearning also harms unrelated knowledge.",
    "ROUGE-L between the unlearned model's and the original's answers to unrelated questions, mean "
    "over questions, then concepts, then methods",
    None,
    bound="at most",
    threshold=0.9,
    reason="A model that is not harmed answers as the original does, which gives 1; a loss of up "
    "to a tenth counts as almost nothing. Rewording also lowers the number.",
)
_BY_ID = {claim.id: claim for claim in (*CLAIMS, UNRELATED)}

Groups = Mapping[tuple[str, str, str], CurveGroup]  # by window, span, score
Row = dict[str, Any]


class _UntestableError(Exception):
    pass


def claims(
    scores: pd.DataFrame,
    windows: Sequence[str],
    seed: int = 0,
    unrelated: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Decide each claim, per model, origin and span; over all methods, and by each alone.

    Args:
        scores: what `concept_scores` returns of CLAIM_SCORES.
        windows: the config's; the first sliding one serves all claims that name no window.
        unrelated: `behaviour.unrelated_scores`; None if that was not computed.

    Returns:
        CLAIM_COLUMNS. n is how many concepts decide. p is of one claim, p_holm of its family; the
        columns named as scores hold the same difference in these.
    """
    used = (scores["donor"] == DONOR) & scores["score"].isin(CLAIM_SCORES)
    used &= ~scores["origin"].isin(COMPARED_WITH)
    sliding = next((name for name in windows if window_width(name)), "")
    untested = dict.fromkeys(["p", *OTHER_SCORES], np.nan) | vars(NOTHING)
    rows: list[Row] = []
    for named, part in scores[used].astype(_TEXTS).groupby(["model", "origin"]):
        names = dict(zip(["model", "origin"], named, strict=True))
        groups = {
            (group.key["window"], group.key["span"], group.key["score"]): group
            for group in curve_groups(part)
        }
        wheres = [
            (claim, claim.window or sliding, span)
            for span, claim in product(sorted(part["span"].unique()), CLAIMS)
        ]
        for method in (ALL_METHODS, *sorted(part["method"].unique())):
            for claim, window, span in [*wheres, (UNRELATED, "", "")]:
                try:
                    if claim is UNRELATED:
                        numbers = _test_unrelated(unrelated, names, method, seed)
                    else:
                        numbers = _test(claim, groups, (window, span), method, seed)
                except _UntestableError as error:
                    numbers = {"is_above": False, "note": str(error)}
                is_primary = claim.primary and method == ALL_METHODS and span == ANSWER
                key = {"method": method, "window": window, "span": span}
                key["family"] = PRIMARY if is_primary else EXPLORATORY
                rows.append(vars(claim) | names | key | untested | numbers)
    if not rows:  # no model that a claim may be about
        return pd.DataFrame(columns=CLAIM_COLUMNS)
    table = pd.DataFrame(rows)
    # A family: the primary rows of one model, origin, method and span, or those that are not. What
    # has no span counts with the answer span.
    keys = [*(table[name] for name in ("model", "origin", "method", "family"))]
    by_family = table.groupby([*keys, table["span"].replace("", ANSWER)], sort=False)["p"]
    table["p_holm"] = by_family.transform(lambda p: holm(p.to_numpy(float)))
    table["n_needed"] = by_family.transform("size").map(concepts_needed).astype(int)
    decided = [decide(_BY_ID[row["id"]], row) for row in table.to_dict("records")]
    table["verdict"], table["note"] = zip(*decided, strict=True)
    return table[CLAIM_COLUMNS]


def _test(claim: Claim, groups: Groups, where: tuple[str, str], method: str, seed: int) -> Row:
    """Test one claim on the curves of one model and origin, (window, span) and method."""
    window, span = where
    if not window:
        raise _UntestableError("no sliding window was computed")
    names, sides = _sides(claim, groups, (window, span, KRS), method)
    if not names:
        raise _UntestableError("no concept has a value")
    chooses = choosing(names)
    if chooses.all():
        raise _UntestableError
    chosen, deciding = sides.of(chooses).highest(), list(compress(names, ~chooses))
    row = assess(sides.of(~chooses), chosen, claim.threshold, claim.at_most, seed) | {"note": ""}
    # The same difference in the other scores, over the answer span.
    for score in OTHER_SCORES:
        problem = f"was not computed over the span {ANSWER}"
        with suppress(_UntestableError):
            names, sides = _sides(claim, groups, (window, ANSWER, score), method)
            with_value = np.isin(names, deciding)
            lacking = len(deciding) - int(with_value.sum())
            problem = f"has no value for {lacking} of the {len(deciding)} concepts that decide"
            if not lacking:
                problem, sides = "", sides.of(with_value)
                cut = Sides(np.clip(sides.ahead, *_CUT), np.clip(sides.behind, *_CUT))
                row[score] = float(cut.lead(chosen, claim.at_most).mean())
        row["note"] = row["note"] or (problem and f"{score} {problem}")
    return row


def _sides(
    claim: Claim, groups: Groups, where: tuple[str, str, str], method: str
) -> tuple[list[str], Sides]:
    """The concepts of a group that have a value at every point that a claim compares, and these."""
    if where not in groups:
        raise _UntestableError(f"the window {where[0]} was not computed")
    group = groups[where]
    peaks = [peak for peak in (claim.ahead, claim.behind) if peak]
    experiments = list(dict.fromkeys(peak.experiment for peak in peaks))
    absent = [name for name in experiments if name not in group.experiments]
    if method not in (ALL_METHODS, *group.methods):
        absent = [method]
    if absent:
        raise _UntestableError(f"{' and '.join(absent)} not computed")
    curves = {name: group.curve(name, method) for name in experiments}
    in_all = np.all([np.isfinite(curve).any(axis=2) for curve in curves.values()], axis=0)
    points = [np.zeros((len(group.concepts), 1))] * 2  # behind, where there is no such curve
    for number, peak in enumerate(peaks):
        curve = np.where(in_all[..., None], curves[peak.experiment], np.nan)
        in_group = window_group(group.windows, peak.group)
        values = peak.weight * mean_of_present(curve, axis=0)[:, in_group]
        points[number] = np.hstack([values, -values]) if peak.either_sign else values
    has_value: Mask = np.asarray(np.isfinite(np.hstack(points)).all(axis=1))
    return list(compress(group.concepts, has_value)), Sides(*points).of(has_value)


def _test_unrelated(
    unrelated: pd.DataFrame | None, names: dict[str, Any], method: str, seed: int
) -> Row:
    """Test the claim on the answers to unrelated questions: no window, so all concepts decide."""
    if unrelated is None:
        raise _UntestableError("answers to unrelated questions were not computed")
    names = names if method == ALL_METHODS else names | {"method": method}
    rows = unrelated[(unrelated[list(names)] == pd.Series(names)).all(axis=1)]
    values = rows.groupby("concept")["value"].mean().dropna().to_numpy(float)
    if not values.size:
        raise _UntestableError("there are no answers to unrelated questions")
    sides = Sides(values[:, None], np.zeros((len(values), 1)))
    row = assess(sides, (0, 0), UNRELATED.threshold, UNRELATED.at_most, seed)
    return row | {"note": ""}


def decide(claim: Claim, row: Mapping[Any, Any]) -> tuple[str, str]:
    if np.isnan(row["p_holm"]) and row["note"]:
        return UNDECIDED, row["note"]
    if row["n"] < row["n_needed"]:
        count = f"{row['n']} concept{' decides' if row['n'] == 1 else 's decide'}"
        return UNDECIDED, f"{count}: a decision needs {row['n_needed']}"
    if row["p_holm"] > LEVEL:
        return UNDECIDED, f"the adjusted p, {row['p_holm']:.2g}, is above {LEVEL:g}"
    if row["is_above"] == claim.at_most:
        return NOT_SUPPORTED, ""
    if claim.ahead is None:  # not read off logits, so no other score of them can differ
        return SUPPORTED, ""
    if row["note"]:
        return UNDECIDED, row["note"]
    # What recovers something moves the other scores the same way from the unlearned model; what
    # recovers nothing does so in each of them.
    differing = [
        name
        for name in OTHER_SCORES
        if not (row[name] <= claim.threshold if claim.at_most else row[name] > 0)
    ]
    against = " and ".join(f"{name} ({row[name]:.2f})" for name in differing)
    return (MIXED, f"not confirmed by {against}") if differing else (SUPPORTED, "")
