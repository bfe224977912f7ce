"""tables/claims.csv: the claims of the paper, decided by the results of this study."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from stillknows.analysis.bootstrap import NOTHING, Array, mean_of_present
from stillknows.analysis.claim_list import CLAIMS, UNRELATED, Claim, Peak
from stillknows.analysis.curve_groups import ALL_METHODS, DONOR, CurveGroup, curve_groups
from stillknows.analysis.held_out import Chosen, Sides, Tested, assess, choosing
from stillknows.analysis.scores import KL_RECOVERED, LOGPROB_RECOVERED
from stillknows.analysis.sign_flip import LEVEL, concepts_needed, holm
from stillknows.engine.windows import window_width
from stillknows.terms import ANSWER, COMPARED_WITH, KRS

SUPPORTED, NOT_SUPPORTED = "supported", "not supported"
MIXED, UNDECIDED = "mixed", "undecided"
PRIMARY, EXPLORATORY = "primary", "exploratory"

# In which a supported claim has to have the same sign; both over the answer span.
OTHER_SCORES = [KL_RECOVERED, LOGPROB_RECOVERED]
CLAIM_SCORES = [KRS, *OTHER_SCORES]
# Scores are cut at once the loss beyond nothing and beyond all: they have no lower bound, and one
# concept of which little was lost would outweigh all others.
_CUT = (-1.0, 2.0)

_DECISION = ["claim", "statistic", "bound", "threshold", "reason"]
_STUDY = ["model", "origin", "method", "window", "span", "family"]
_TEST = ["p", "p_holm", "n_needed", *OTHER_SCORES]
_OUTCOME = ["value", "low", "high", "n", *_TEST, "verdict", "note"]
CLAIM_COLUMNS = ["id", "claim", *_STUDY, *_OUTCOME, *_DECISION[1:]]

Row = dict[str, Any]
Groups = Mapping[tuple[str, ...], CurveGroup]  # by model, origin, window, span, score


@dataclass(frozen=True)
class _Result:
    """A claim, tested. note: why it could not be, or why it cannot be supported."""

    tested: Tested = field(default_factory=lambda: Tested(NOTHING, np.nan, False))
    others: Mapping[str, float] = field(default_factory=dict)  # by OTHER_SCORES
    note: str = ""


def claims(
    scores: pd.DataFrame,
    windows: Sequence[str],
    seed: int = 0,
    unrelated: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Decide each claim, per model, origin and span; over all methods, and by each alone.

    By the score krs, averaged over questions, methods and concepts.

    Args:
        scores: what `concept_scores` returns of CLAIM_SCORES.
        windows: the config's, in its order. The first sliding one serves all claims that name
            no window of their own.
        seed: of the bootstrap, and of the signs where not all are tried.
        unrelated: how like the original's the answers to unrelated questions are: model, origin,
            method, concept, value; None if that was not computed.

    Returns:
        CLAIM_COLUMNS, sorted by model and origin, then method (ALL_METHODS first) and span. n is
        how many concepts decide. p is of one claim, p_holm of its family; the columns named as
        scores hold the same difference in these. note says why a claim is undecided or mixed.
    """
    chosen = (scores["donor"] == DONOR) & scores["score"].isin(CLAIM_SCORES)
    groups = {
        tuple(one.key[name] for name in ("model", "origin", "window", "span", "score")): one
        for one in curve_groups(scores[chosen & (~scores["origin"].isin(COMPARED_WITH))])
    }
    first = next((name for name in windows if window_width(name)), "")
    rows: list[Row] = []
    for model, origin in sorted({key[:2] for key in groups}):
        of_model = {key[2:]: one for key, one in groups.items() if key[:2] == (model, origin)}
        methods = sorted({name for one in of_model.values() for name in one.methods})
        spans = sorted({span for _, span, _ in of_model})
        for method in (ALL_METHODS, *methods):
            where = {"model": model, "origin": origin, "method": method}
            for span, claim in product(spans, CLAIMS):
                window = claim.window or first
                result = _test(claim, of_model, (window, span), method, seed)
                rows.append(_row(claim, where | {"window": window, "span": span}, result))
            result = _test_unrelated(unrelated, where, seed)
            rows.append(_row(UNRELATED, where | {"window": "", "span": ""}, result))
    return _decided(pd.DataFrame(rows, columns=[*CLAIM_COLUMNS, "is_above"]))


def _test(claim: Claim, groups: Groups, where: tuple[str, str], method: str, seed: int) -> _Result:
    """Test one claim on the curves of one model and origin, (window, span) and method."""
    window, span = where
    if not window:
        return _Result(note="no sliding window was computed")
    group = groups.get((window, span, KRS))
    if group is None:
        return _Result(note=f"the window {window} was not computed")
    if absent := _absent(claim, group, method):
        return _Result(note=f"{' and '.join(absent)} not computed")
    sides = _sides(claim, group, method)
    has_value = sides.have_values
    if not has_value.any():
        return _Result(note="no concept has a value")
    names = [name for name, has in zip(group.concepts, has_value, strict=True) if has]
    chooses = choosing(names)
    if chooses.all():
        return _Result()
    chosen = sides.of(has_value).of(chooses).highest()
    decides = sides.of(has_value).of(~chooses)
    tested = assess(decides, chosen, claim.threshold, claim.at_most, seed)
    deciding = [name for name, has in zip(names, ~chooses, strict=True) if has]
    others, note = {}, ""
    for score in OTHER_SCORES:
        other = groups.get((window, ANSWER, score))
        others[score], why = _other_score(claim, other, method, deciding, chosen)
        note = note or (why and f"{score} {why}")
    return _Result(tested, others, note)


def _absent(claim: Claim, group: CurveGroup, method: str) -> list[str]:
    """What of a claim a group lacks: the method, or experiments."""
    if method not in (ALL_METHODS, *group.methods):
        return [method]
    return [name for name in claim.experiments if name not in group.experiments]


def _sides(claim: Claim, group: CurveGroup, method: str) -> Sides:
    """The points that a claim compares, of each concept of a group.

    A method and concept that one of the experiments lacks altogether is left out of both.
    """
    assert claim.ahead
    curves = {name: group.curve(name, method) for name in claim.experiments}
    in_all = np.all([np.isfinite(one).any(axis=2) for one in curves.values()], axis=0)
    means = {
        name: mean_of_present(np.where(in_all[..., None], one, np.nan), axis=0)
        for name, one in curves.items()
    }
    nothing = np.zeros((len(group.concepts), 1))
    return Sides(
        _points(claim.ahead, means, group.windows),
        _points(claim.behind, means, group.windows) if claim.behind else nothing,
    )


def _points(peak: Peak, curves: Mapping[str, Array], windows: pd.DataFrame) -> Array:
    """The windows among which a peak is looked for: (concepts, points).

    Args:
        curves: (concepts, layers), by experiment.
    """
    points = peak.weight * curves[peak.experiment][:, peak.where(windows)]
    return np.hstack([points, -points]) if peak.either_sign else points


def _other_score(
    claim: Claim, group: CurveGroup | None, method: str, concepts: Sequence[str], chosen: Chosen
) -> tuple[float, str]:
    """The same difference in another score, and why there is none."""
    if group is None or _absent(claim, group, method):
        return np.nan, f"was not computed over the span {ANSWER}"
    sides = _sides(claim, group, method).of(np.isin(group.concepts, concepts))
    lacking = len(concepts) - int(sides.have_values.sum())
    if lacking:
        return np.nan, f"has no value for {lacking} of the {len(concepts)} concepts that decide"
    sides = Sides(np.clip(sides.ahead, *_CUT), np.clip(sides.behind, *_CUT))
    return float(chosen.differences(sides, claim.at_most).mean()), ""


def _test_unrelated(unrelated: pd.DataFrame | None, where: Mapping[str, str], seed: int) -> _Result:
    """Test the claim on the answers to unrelated questions: no window, so all concepts decide."""
    if unrelated is None:
        return _Result(note="answers to unrelated questions were not computed")
    chosen = (unrelated["model"] == where["model"]) & (unrelated["origin"] == where["origin"])
    if where["method"] != ALL_METHODS:
        chosen &= unrelated["method"] == where["method"]
    values = unrelated[chosen].groupby("concept")["value"].mean().dropna().to_numpy(float)
    if not values.size:
        return _Result(note="there are no answers to unrelated questions")
    sides = Sides(values[:, None], np.zeros((len(values), 1)))
    tested = assess(sides, Chosen(0, 0), UNRELATED.threshold, UNRELATED.at_most, seed)
    return _Result(tested)


def _row(claim: Claim, where: Mapping[str, str], result: _Result) -> Row:
    decision = {name: getattr(claim, name) for name in _DECISION}
    is_primary = claim.primary and where["method"] == ALL_METHODS and where["span"] == ANSWER
    return {
        "id": claim.id,
        **decision,
        **where,
        "family": PRIMARY if is_primary else EXPLORATORY,
        **vars(result.tested.number),
        "p": result.tested.p,
        "is_above": result.tested.is_above,
        **dict.fromkeys(OTHER_SCORES, np.nan),
        **result.others,
        "note": result.note,
    }


def _decided(table: pd.DataFrame) -> pd.DataFrame:
    """Adjust p within each family, and decide.

    A family: the rows of one model, origin, method and span that are primary, or that are not. What
    has no span counts with the answer span.
    """
    if table.empty:  # no model that a claim may be about
        return table[CLAIM_COLUMNS]
    span = table["span"].replace("", ANSWER)
    family = [table[name] for name in ("model", "origin", "method", "family")]
    by_family = table.groupby([*family, span], sort=False)["p"]
    table["p_holm"] = by_family.transform(lambda p: holm(p.to_numpy(float)))
    table["n_needed"] = by_family.transform("size").map(concepts_needed).astype(int)
    decided = [decide(_BY_ID[row["id"]], row) for row in table.to_dict("records")]
    table["verdict"], table["note"] = zip(*decided, strict=True)
    return table[CLAIM_COLUMNS]


_BY_ID = {claim.id: claim for claim in (*CLAIMS, UNRELATED)}


def decide(claim: Claim, row: Mapping[Any, Any]) -> tuple[str, str]:
    """The verdict on a claim, and why it is undecided or mixed.

    Args:
        row: p_holm, is_above, n, n_needed, note and OTHER_SCORES of the claim.
    """
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
    agrees = {
        name: row[name] <= claim.threshold if claim.at_most else row[name] > 0
        for name in OTHER_SCORES
    }
    differing = [name for name in OTHER_SCORES if not agrees[name]]
    against = " and ".join(f"{name} ({row[name]:.2f})" for name in differing)
    return (MIXED, f"not confirmed by {against}") if differing else (SUPPORTED, "")
