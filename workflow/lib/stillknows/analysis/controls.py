"""tables/controls.csv: control baselines, from other donors than the original on the same text."""

import pandas as pd

from stillknows.analysis.curve_groups import DONOR
from stillknows.analysis.tables import CONCEPT_POINT, CURVE_KEYS, curves
from stillknows.terms import CONTROLS

_DIFFERENCE = ["original", "difference", "difference_low", "difference_high"]
CONTROL_COLUMNS = [*CURVE_KEYS, "mean", "low", "high", *_DIFFERENCE, "n_concepts"]


def controls(scores: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """The control baseline of each point of a curve, beside the original's score.

    Means and intervals as in `analysis.tables.curves`. The original's score and the difference to
    it are of the same methods and concepts, and are drawn together.

    Args:
        scores: what `concept_scores` returns.
        seed: of the bootstrap.

    Returns:
        CONTROL_COLUMNS, one row per point; none where there are no controls. low, high and
        difference_low, difference_high are null under MIN_CONCEPTS concepts.
    """
    is_control = scores["donor"].isin(CONTROLS)
    if not is_control.any():
        return pd.DataFrame(columns=CONTROL_COLUMNS)
    point = [name for name in (*CONCEPT_POINT, "score") if name != "donor"]
    original = scores.loc[scores["donor"] == DONOR, [*point, "value"]]
    both = scores[is_control].merge(original, on=point, how="left", suffixes=("", "_other"))
    rows = paired_curves(both, seed).rename(columns={"other": "original"})
    return rows[CONTROL_COLUMNS]


def paired_curves(both: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Mean curves of two values of each concept, and of their difference.

    Args:
        both: rows of `concept_scores`, with another value each, `value_other`.

    Returns:
        The columns of `curves` for `value`; other: the mean of the other value; difference: the
        other less the value, with low and high; n_concepts, those that have both, at least one.
    """
    difference_of_both = both["value_other"] - both["value"]  # null where either is
    paired = both[["value", "value_other"]].where(difference_of_both.notna())
    one, other, difference = (
        curves(both.assign(value=values), seed)
        for values in (paired["value"], paired["value_other"], difference_of_both)
    )
    rows = one.assign(
        other=other["mean"],
        difference=difference["mean"],
        difference_low=difference["low"],
        difference_high=difference["high"],
        n_concepts=one["concepts"],
    )
    return rows[rows["n_concepts"] > 0].reset_index(drop=True)
