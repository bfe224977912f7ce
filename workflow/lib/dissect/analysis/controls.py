"""tables/controls.csv: control baselines, from donors that hold nothing about the question."""

import pandas as pd

from dissect.analysis.curve_groups import DONOR
from dissect.analysis.tables import CONCEPT_POINT, CURVE_KEYS, curves

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
    is_original = scores["donor"] == DONOR
    if is_original.all():
        return pd.DataFrame(columns=CONTROL_COLUMNS)
    point = [name for name in (*CONCEPT_POINT, "score") if name != "donor"]
    original = scores.loc[is_original, [*point, "value"]].rename(columns={"value": "original"})
    both = scores[~is_original].merge(original, on=point, how="left")
    difference_of_both = both["original"] - both["value"]  # null where either is
    paired = both[["value", "original"]].where(difference_of_both.notna())
    control, of_original, difference = (
        curves(both.assign(value=values), seed)
        for values in (paired["value"], paired["original"], difference_of_both)
    )
    rows = control.assign(
        original=of_original["mean"],
        difference=difference["mean"],
        difference_low=difference["low"],
        difference_high=difference["high"],
        n_concepts=control["concepts"],
    )
    return rows.loc[rows["n_concepts"] > 0, CONTROL_COLUMNS].reset_index(drop=True)
