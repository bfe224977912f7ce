"""Which share of the facts each model says when it is asked."""

import pandas as pd

from stillknows.answers.recall_settings import HELD_OUT
from stillknows.terms import AS_IT_IS, RELEARNED


def recall_scores(recall: pd.DataFrame) -> dict[str, "pd.Series[float]"]:
    """The scores `recalled` and `relearned`, 0 to 1, by method.

    Args:
        recall: rows of RECALL_SCHEMA.

    Returns:
        recalled: the share of held-out questions whose answers have the fact; relearned: the same
        after relearning, of the questions that were not relearned.
    """
    asked = recall[recall["wording"] == HELD_OUT]
    as_it_is = asked[asked["stage"] == AS_IT_IS]
    relearned = asked[(asked["stage"] == RELEARNED) & ~asked["relearned"]]
    return {
        "recalled": as_it_is.groupby("method")["has_fact"].mean(),
        "relearned": relearned.groupby("method")["has_fact"].mean(),
    }
