"""What a comparison with a reference model can say: one of exactly three outcomes."""

import pandas as pd

ABOVE, NOT_DISTINGUISHABLE = "above the reference", "not distinguishable from the reference"
NO_REFERENCE = "no reference"


def outcome_of(low: "pd.Series[float]") -> "pd.Series[str]":
    """ABOVE where the lower end of a difference to the reference is above 0.

    Else, also where there is no interval, NOT_DISTINGUISHABLE.
    """
    return (low > 0).map({True: ABOVE, False: NOT_DISTINGUISHABLE})
