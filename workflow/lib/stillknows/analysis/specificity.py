"""tables/specificity.csv: what a patch recovers of the concept, less what it recovers of others."""

import pandas as pd

from stillknows.analysis.controls import paired_curves
from stillknows.analysis.tables import CONCEPT_POINT, CURVE_KEYS

_KEYS = [*(name for name in CURVE_KEYS if name != "donor"), "concept"]
_DIFFERENCE = ["target", "unrelated", "difference", "low", "high", "n_concepts"]
SPECIFICITY_COLUMNS = [*_KEYS, *_DIFFERENCE]


def specificity(target: pd.DataFrame, unrelated: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """Each score on the concepts' questions beside the same on unrelated questions.

    Both are of the original as donor. Means and intervals over concepts as in
    `analysis.tables.curves`; a concept is drawn with both.

    Args:
        target, unrelated: what `concept_scores` returns, of the concepts' own questions and of
            unrelated ones.
        seed: of the bootstrap.

    Returns:
        SPECIFICITY_COLUMNS, a row per point and concept, and per point one without a concept, for
        the mean over concepts; `difference` is target less unrelated, low and high are its
        interval, null in rows of one concept.
    """
    point = [*CONCEPT_POINT, "score"]
    both = unrelated.merge(target[[*point, "value"]], on=point, suffixes=("", "_other"))
    names = {
        "mean": "unrelated",
        "other": "target",
        "difference_low": "low",
        "difference_high": "high",
    }
    over_concepts = paired_curves(both, seed).drop(columns=["low", "high"]).rename(columns=names)
    of_concepts = both.assign(
        target=both["value_other"],
        unrelated=both["value"],
        difference=both["value_other"] - both["value"],
        n_concepts=1,
    )
    of_concepts = of_concepts[of_concepts["difference"].notna()]
    rows = pd.concat([over_concepts.assign(concept=""), of_concepts], ignore_index=True)
    rows = rows.reindex(columns=SPECIFICITY_COLUMNS)
    return rows.sort_values(_KEYS, ignore_index=True)
