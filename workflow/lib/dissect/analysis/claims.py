"""tables/claims.csv: the claims of the paper, decided by the results of this study."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from dissect.analysis.bootstrap import MIN_CONCEPTS, NOTHING, Estimate, estimate, too_few
from dissect.analysis.claim_list import CLAIMS, UNRELATED, Claim
from dissect.analysis.curve_groups import DONOR, CurveGroup, curve_groups
from dissect.inputs.windows import window_width
from dissect.terms import REFERENCE

HOLDS, NOT_SUPPORTED, UNDECIDED = "holds", "not supported", "undecided"
SCORE = "krs"

_DECISION = ["claim", "statistic", "bound", "threshold", "reason"]
_OUTCOME = ["value", "low", "high", "n", "verdict", "note"]
_STUDY = ["model", "origin", "window", "span"]
CLAIM_COLUMNS = ["id", "claim", *_STUDY, *_OUTCOME, *_DECISION[1:]]

Row = dict[str, Any]


def claims(
    scores: pd.DataFrame,
    windows: Sequence[str],
    seed: int = 0,
    unrelated: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Decide each claim, per model, origin and span.

    By the score krs, averaged over questions, concepts and methods, as the paper does.

    Args:
        scores: what `concept_scores` returns.
        windows: the config's, in its order. The first sliding one serves all claims that name
            no window of their own.
        seed: of the bootstrap.
        unrelated: how like the original's the answers to unrelated questions are: model, origin,
            method, concept, value; None if that was not computed.

    Returns:
        CLAIM_COLUMNS, sorted by model and origin, then span; verdict is holds, does not or
        undecided, and note says why it is undecided; n is how many concepts stand behind the value;
        low and high are null under MIN_CONCEPTS of them.
    """
    of_original = scores[(scores["donor"] == DONOR) & (scores["score"] == SCORE)]
    of_original = of_original[of_original["origin"] != REFERENCE]
    groups = {
        (one.key["model"], one.key["origin"], one.key["span"], one.key["window"]): one
        for one in curve_groups(of_original)
    }
    first = next((name for name in windows if window_width(name)), "")
    rows: list[Row] = []
    for model, origin in sorted({key[:2] for key in groups}):
        where = {"model": model, "origin": origin}
        for span in sorted({key[2] for key in groups if key[:2] == (model, origin)}):
            for claim in CLAIMS:
                window = claim.window or first
                group = groups.get((model, origin, span, window))
                number, note = _estimate(claim, window, group, seed)
                rows.append(_row(claim, where | {"span": span, "window": window}, number, note))
        number, note = _estimate_unrelated(unrelated, model, origin, seed)
        rows.append(_row(UNRELATED, where | {"span": "", "window": ""}, number, note))
    return pd.DataFrame(rows, columns=CLAIM_COLUMNS)


def decide(claim: Claim, number: Estimate) -> str:
    """By which side of the threshold the whole interval is on; undecided if it spans it."""
    if np.isnan([number.value, number.low, number.high]).any():
        return UNDECIDED
    holds, fails = {
        "at least": (number.low >= claim.threshold, number.high < claim.threshold),
        "above": (number.low > claim.threshold, number.high <= claim.threshold),
        "at most": (number.high <= claim.threshold, number.low > claim.threshold),
    }[claim.bound]
    return HOLDS if holds else NOT_SUPPORTED if fails else UNDECIDED


def _estimate(
    claim: Claim, window: str, group: CurveGroup | None, seed: int
) -> tuple[Estimate, str]:
    """The number that decides a claim; and, where there can be none, why."""
    if not window:
        return NOTHING, "no sliding window was computed"
    if group is None:
        return NOTHING, f"the window {window} was not computed"
    absent = [name for name in claim.experiments if name not in group.experiments]
    if absent:
        return NOTHING, f"{' and '.join(absent)} not computed"
    curves = [group.curve(name) for name in claim.experiments]
    return estimate(partial(claim.read, group.windows), *curves, seed=seed), ""


def _estimate_unrelated(
    unrelated: pd.DataFrame | None, model: str, origin: str, seed: int
) -> tuple[Estimate, str]:
    if unrelated is None:
        return NOTHING, "answers to unrelated questions were not computed"
    of_study = unrelated[(unrelated["model"] == model) & (unrelated["origin"] == origin)]
    values = of_study.pivot(index="method", columns="concept", values="value").to_numpy(float)
    if not values.size:
        return NOTHING, "there are no answers to unrelated questions"
    return estimate(partial(UNRELATED.read, None), values[..., None], seed=seed), ""


def _row(claim: Claim, where: dict[str, str], number: Estimate, note: str) -> Row:
    verdict = decide(claim, number)
    if verdict == UNDECIDED and not note:
        note = _why_undecided(claim, number)
    decision = {name: getattr(claim, name) for name in _DECISION}
    return {"id": claim.id, **decision, **where, **vars(number), "verdict": verdict, "note": note}


def _why_undecided(claim: Claim, number: Estimate) -> str:
    if not number.n:
        return "no concept has a value"
    if np.isnan(number.value):
        return "the statistic is not defined for these curves"
    if number.n < MIN_CONCEPTS:
        return too_few(number.n)
    if np.isnan(number.low):
        return "the statistic is not defined in every resample"
    return f"the interval spans the threshold, {claim.threshold:g}"
