"""What a comparison with one reference model can say."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

FACTS_SURVIVE = "facts survive"  # depth, fact by fact; all others are of means
LESS, MORE = "less fact loss than the reference", "more fact loss than the reference"
ABOVE, BELOW = "above the reference", "below the reference"
NOT_DISTINGUISHABLE = "not distinguishable from the reference"
NOT_TESTED, NO_REFERENCE = "not tested", "no reference"


def outcomes_of_means(
    low: "pd.Series[float]", high: "pd.Series[float]", above: str = ABOVE, below: str = BELOW
) -> npt.NDArray[Any]:
    """What the interval of a mean difference to the reference says, row by row.

    Args:
        low, high: the ends of the interval; null where there is none.
        above, below: the outcomes where the whole interval is above 0, and below 0.

    Returns:
        above, below, NOT_DISTINGUISHABLE where the interval includes 0, or NOT_TESTED where there
        is none.
    """
    return np.select(
        [low.isna() | high.isna(), low > 0, high < 0],
        [NOT_TESTED, above, below],
        NOT_DISTINGUISHABLE,
    )
