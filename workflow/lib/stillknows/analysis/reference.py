"""tables/reference.csv: each score of an unlearned model beside that of the reference model."""

import pandas as pd

from stillknows.analysis.controls import paired_curves
from stillknows.analysis.outcomes import outcomes_of_means
from stillknows.analysis.tables import CONCEPT_POINT, CURVE_KEYS
from stillknows.terms import COPY, ORIGINAL, REFERENCE

_DIFFERENCE = ["reference", "difference", "difference_low", "difference_high"]
REFERENCE_COLUMNS = [*CURVE_KEYS, "mean", "low", "high", *_DIFFERENCE, "n_concepts", "outcome"]


def reference(scores: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """Each point of a curve beside the same of the reference model.

    Means and intervals as in `analysis.tables.curves`. The reference's score and the difference to
    it are of the same concepts, and are drawn together.

    Args:
        scores: what `concept_scores` returns.
        seed: of the bootstrap.

    Returns:
        REFERENCE_COLUMNS, one row per point; none where there is no reference model. `outcome` is
        that of `outcomes.outcomes_of_means` for the interval of the difference.
    """
    scores = scores[scores["donor"].isin([ORIGINAL, COPY])]
    is_reference = scores["origin"] == REFERENCE
    if not is_reference.any():
        return pd.DataFrame(columns=REFERENCE_COLUMNS)
    point = [name for name in (*CONCEPT_POINT, "score") if name not in ("method", "origin")]
    of_reference = scores.loc[is_reference, [*point, "value"]]
    both = scores[~is_reference].merge(of_reference, on=point, suffixes=("", "_other"))
    rows = paired_curves(both, seed).rename(columns={"other": "reference"})
    # The difference is the other's less the copy's; here the copy is what is asked about.
    low, high = -rows["difference_high"], -rows["difference_low"]
    rows = rows.assign(difference=-rows["difference"], difference_low=low, difference_high=high)
    return rows.assign(outcome=outcomes_of_means(low, high))[REFERENCE_COLUMNS]
