"""Curves beside others, means and intervals as in `analysis.tables.curves`: tables/controls.csv,
tables/reference.csv, tables/specificity.csv.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from stillknows.analysis.tables import CONCEPT_POINT, CURVE_KEYS, DONOR, curves
from stillknows.terms import CONTROLS, COPY, ORIGINAL, REFERENCE

# What a comparison with one reference model can say.
FACTS_SURVIVE = "facts survive"  # depth, fact by fact; all others are of means
LESS, MORE = "less fact loss than the reference", "more fact loss than the reference"
ABOVE, BELOW = "above the reference", "below the reference"
NOT_DISTINGUISHABLE = "not distinguishable from the reference"
NOT_TESTED, NO_REFERENCE = "not tested", "no reference"

_DIFFERENCE = ["difference", "difference_low", "difference_high"]
_INTERVAL = [*CURVE_KEYS, "mean", "low", "high"]
CONTROL_COLUMNS = [*_INTERVAL, "original", *_DIFFERENCE, "n_concepts"]
REFERENCE_COLUMNS = [*_INTERVAL, "reference", *_DIFFERENCE, "n_concepts", "outcome"]
_SPECIFICITY_KEYS = [*(name for name in CURVE_KEYS if name != "donor"), "concept"]
SPECIFICITY_COLUMNS = [
    *_SPECIFICITY_KEYS,
    *("target", "unrelated", "difference", "low", "high", "n_concepts"),
]
_POINT = [*CONCEPT_POINT, "score"]


def controls(scores: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """The control baseline of each point of a curve, beside the original's score."""
    is_control = scores["donor"].isin(CONTROLS)
    if not is_control.any():
        return pd.DataFrame(columns=CONTROL_COLUMNS)
    point = [name for name in _POINT if name != "donor"]
    original = scores.loc[scores["donor"] == DONOR, [*point, "value"]]
    both = scores[is_control].merge(original, on=point, how="left", suffixes=("", "_other"))
    return _paired_curves(both, seed).rename(columns={"other": "original"})[CONTROL_COLUMNS]


def reference(scores: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """Each point of a curve beside the same of the reference model; difference, and its outcome."""
    scores = scores[scores["donor"].isin([ORIGINAL, COPY])]
    is_reference = scores["origin"] == REFERENCE
    if not is_reference.any():
        return pd.DataFrame(columns=REFERENCE_COLUMNS)
    point = [name for name in _POINT if name not in ("method", "origin")]
    of_reference = scores.loc[is_reference, [*point, "value"]]
    both = scores[~is_reference].merge(of_reference, on=point, suffixes=("", "_other"))
    rows = _paired_curves(both, seed).rename(columns={"other": "reference"})
    low, high = -rows["difference_high"], -rows["difference_low"]
    rows = rows.assign(difference=-rows["difference"], difference_low=low, difference_high=high)
    return rows.assign(outcome=outcomes_of_means(low, high))[REFERENCE_COLUMNS]


def specificity(target: pd.DataFrame, unrelated: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """SPECIFICITY_COLUMNS: what a patch recovers on own questions, less that on unrelated ones.

    Args:
        target, unrelated: what `concept_scores` returns of each, with the original as donor.

    Returns:
        a row per point and concept, and per point one without a concept, for the mean over
        concepts; low and high are the interval of the difference, null in rows of one concept.
    """
    both = unrelated.merge(target[[*_POINT, "value"]], on=_POINT, suffixes=("", "_other"))
    names = {"mean": "unrelated", "other": "target"}
    names |= {"difference_low": "low", "difference_high": "high"}
    over_concepts = _paired_curves(both, seed).drop(columns=["low", "high"]).rename(columns=names)
    by_concept = both.rename(columns={"value": "unrelated", "value_other": "target"})
    by_concept["difference"] = by_concept["target"] - by_concept["unrelated"]
    by_concept = by_concept.assign(n_concepts=1).dropna(subset="difference")
    rows = pd.concat([over_concepts.assign(concept=""), by_concept], ignore_index=True)
    rows = rows.reindex(columns=SPECIFICITY_COLUMNS)
    return rows.sort_values(_SPECIFICITY_KEYS, ignore_index=True)


def _paired_curves(both: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Mean curves of two values of each concept, and of the difference; see `curves`."""
    difference_of_both = both["value_other"] - both["value"]  # null where either is
    paired = both[["value", "value_other"]].where(difference_of_both.notna())
    rows, other, difference = (
        curves(both.assign(value=values), seed)
        for values in (paired["value"], paired["value_other"], difference_of_both)
    )
    rows = rows.rename(columns={"concepts": "n_concepts"}).assign(
        other=other["mean"],
        difference=difference["mean"],
        difference_low=difference["low"],
        difference_high=difference["high"],
    )
    return rows[rows["n_concepts"] > 0].reset_index(drop=True)


def outcomes_of_means(
    low: "pd.Series[float]", high: "pd.Series[float]", above: str = ABOVE, below: str = BELOW
) -> npt.NDArray[Any]:
    """What the interval of a mean difference says, row by row: whether it is above or below 0."""
    return np.select(
        [low.isna() | high.isna(), low > 0, high < 0],
        [NOT_TESTED, above, below],
        NOT_DISTINGUISHABLE,
    )
