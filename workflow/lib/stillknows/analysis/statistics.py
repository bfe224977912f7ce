"""tables/statistics.csv: what the curves say, and how they differ, with intervals."""

from collections.abc import Iterator
from functools import partial
from itertools import combinations
from typing import Any

import pandas as pd

from stillknows.analysis.bootstrap import estimate, mean_and_interval
from stillknows.analysis.curve_groups import (
    ALL_METHODS,
    DONOR,
    GROUP_COLUMNS,
    CurveGroup,
    curve_groups,
)
from stillknows.analysis.curve_statistics import (
    Reading,
    difference_of_peaks,
    final_layer_advantage,
    final_layer_share,
    final_window,
    highest,
    layers_that_give,
    peak,
    peak_layer,
    rank_correlation,
    with_last_layer,
    without_last_layer,
)
from stillknows.engine.windows import PREFIX, SUFFIX

_KEYS = [*GROUP_COLUMNS, "method", "experiment", "statistic", "versus", "layer"]
STATISTIC_COLUMNS = [*_KEYS, "value", "low", "high", "n"]

_OF_ALL: dict[str, Reading] = {
    "peak": peak,
    "peak_layer": peak_layer,
    "final_window": final_window,
    "final_layer_share": final_layer_share,
}
_OF_SLIDING: dict[str, Reading] = _OF_ALL | {
    "best_with_final_layer": highest(with_last_layer),
    "best_without_final_layer": highest(without_last_layer),
    "final_layer_lead": final_layer_advantage,
}
_OF_NESTED: dict[str, Reading] = {
    "layers_for_half": partial(layers_that_give, share=0.5),
    "layers_for_most": partial(layers_that_give, share=0.9),
}
# By the kind of window; all others are sliding.
_READINGS = {SUFFIX: _OF_ALL | _OF_NESTED, PREFIX: _OF_SLIDING | _OF_NESTED}

Row = dict[Any, Any]


def statistics(scores: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """All statistics of the curves whose donor is the original.

    docs/explanation/statistics.md lists them.

    Differences are paired: only concepts that both sides have are used, and are drawn together. So
    a difference of peaks is not the difference of two rows `peak` where sweeps are missing.

    Args:
        scores: what `concept_scores` returns.
        seed: of the bootstrap.

    Returns:
        STATISTIC_COLUMNS, one row each; layer is null but in differences at a layer; value is null
        without any concept, low and high under MIN_CONCEPTS of them; n is how many concepts stand
        behind the value.
    """
    rows = [
        {**group.key, **row}
        for group in curve_groups(scores[scores["donor"] == DONOR])
        for row in (*_of_curves(group, seed), *_of_pairs(group, seed))
    ]
    table = pd.DataFrame(rows, columns=STATISTIC_COLUMNS).astype({"layer": "Int64"})
    return table.sort_values(_KEYS, ignore_index=True)


def _of_curves(group: CurveGroup, seed: int) -> Iterator[Row]:
    readings = _READINGS.get(group.key["window"], _OF_SLIDING)
    for experiment, method in group.curves:
        curve = group.curve(experiment, method)
        numbers = {
            name: estimate(partial(reading, group.windows), curve, seed=seed)
            for name, reading in readings.items()
        }
        # Of each concept first: a mean curve rises more steadily than those it is made of. The peak
        # of a single point is the point.
        correlation = rank_correlation(curve)[..., None]
        numbers["monotonicity"] = estimate(partial(peak, group.windows), correlation, seed=seed)
        for name, number in numbers.items():
            key = {"method": method, "experiment": experiment, "statistic": name, "versus": ""}
            yield key | vars(number)


def _of_pairs(group: CurveGroup, seed: int) -> Iterator[Row]:
    """Of two experiments of a method, and of two methods of an experiment: the one less the other.

    At each layer, and of the two peaks, which may lie at different layers.
    """
    for one, other in combinations(group.curves, 2):
        (experiment, method), (experiment_of_other, method_of_other) = one, other
        if method == method_of_other:
            name, versus = "experiment_difference", experiment_of_other
        elif experiment == experiment_of_other and method_of_other != ALL_METHODS:
            name, versus = "method_difference", method_of_other
        else:
            continue
        key = {"method": method, "experiment": experiment, "versus": versus}
        left, right = group.curve(*one), group.curve(*other)
        points = group.windows[["layer"]].assign(**mean_and_interval(left - right, seed))
        yield from ({**key, "statistic": name, **point} for point in points.to_dict("records"))
        peaks = estimate(partial(difference_of_peaks, group.windows), left, right, seed=seed)
        yield {**key, "statistic": f"{name}_of_peaks", **vars(peaks)}
