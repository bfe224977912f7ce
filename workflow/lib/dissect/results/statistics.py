"""tables/statistics.csv: what the curves say, and how they differ, with intervals."""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import combinations
from typing import Any

import pandas as pd

from dissect.results.bootstrap import (
    Array,
    Estimate,
    Statistic,
    concepts_with_a_value,
    estimate,
    interval_of_mean,
    mean_curve,
)
from dissect.results.curve_groups import ALL_METHODS, DONOR, GROUP_COLUMNS, CurveGroup, curve_groups
from dissect.results.curve_statistics import (
    Reading,
    Windows,
    difference_of_peaks,
    final_layer_lead,
    final_layer_share,
    final_window,
    layers_that_give,
    peak,
    peak_layer,
    rank_correlation,
)
from dissect.study.windows import SUFFIX

_NUMBERS = ["value", "low", "high"]
_KEYS = [*GROUP_COLUMNS, "method", "experiment", "statistic", "versus", "layer"]
STATISTIC_COLUMNS = [*_KEYS, *_NUMBERS, "n"]

Row = dict[str, Any]

# What only one kind of windows has: name -> (windows, mean curve) to statistic.
_OF_SLIDING: dict[str, Callable[[Windows, Array], Statistic]] = {
    "best_with_final_layer": lambda windows, mean: peak(mean, windows.with_last),
    "best_without_final_layer": lambda windows, mean: peak(mean, ~windows.with_last),
    "final_layer_lead": lambda windows, mean: final_layer_lead(mean, windows),
}
_OF_SUFFIXES: dict[str, Callable[[Windows, Array], Statistic]] = {
    "layers_for_half": lambda windows, mean: layers_that_give(0.5, windows),
    "layers_for_most": lambda windows, mean: layers_that_give(0.9, windows),
}


def statistics(scores: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """All statistics of the curves whose donor is the original, in long format.

    Of each curve: peak (its highest mean), peak_layer, final_window, final_layer_share (as
    `results.curve_statistics` defines them), and monotonicity (the mean over concepts of Spearman's
    correlation between score and layer). Of sliding windows: best_with_final_layer,
    best_without_final_layer, and final_layer_lead, the one less the other. Of suffixes: how many
    last layers give half (layers_for_half) and nine tenths (layers_for_most) of the best. Between
    two experiments of a method (experiment_difference) and two methods of an experiment
    (method_difference), `versus` naming the one that is taken away: at each layer, and, without a
    layer, of the two peaks (.._difference_of_peaks), which may lie at different layers.

    Differences are paired: only concepts that both sides have are used, and are drawn together. So
    a difference of peaks is not the difference of two rows `peak` where cells are missing.

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
        for part in (_of_curves, _between_experiments, _between_methods)
        for row in part(group, seed)
    ]
    table = pd.DataFrame(rows, columns=STATISTIC_COLUMNS).astype({"layer": "Int64"})
    return table.sort_values(_KEYS, ignore_index=True)


def _of_curves(group: CurveGroup, seed: int) -> Iterator[Row]:
    for experiment in group.experiments:
        for method in [*group.methods, ALL_METHODS]:
            curve = group.curve(experiment, method)
            where = {"method": method, "experiment": experiment, "versus": ""}
            for name, (reading, values) in _readings(group, curve).items():
                yield _row(estimate(reading, values, seed=seed), **where, statistic=name)


def _readings(group: CurveGroup, curve: Array) -> dict[str, tuple[Reading, Array]]:
    """Per statistic: how it is read off a mean curve, and the curves that are averaged."""
    windows = Windows.of(group.windows)
    readings: dict[str, tuple[Reading, Array]] = {
        "peak": (peak, curve),
        "peak_layer": (lambda _: peak_layer(windows), curve),
        "final_window": (lambda _: final_window(windows), curve),
        "final_layer_share": (lambda mean: final_layer_share(mean, windows), curve),
        # Of each concept first: a mean curve rises more steadily than those it is made of. The
        # peak of a single point is the point.
        "monotonicity": (peak, rank_correlation(curve)[..., None]),
    }
    of_kind = _OF_SUFFIXES if group.key["window"] == SUFFIX else _OF_SLIDING
    return readings | {
        name: (partial(reading, windows), curve) for name, reading in of_kind.items()
    }


def _between_experiments(group: CurveGroup, seed: int) -> Iterator[Row]:
    for left, right in combinations(group.experiments, 2):
        for method in [*group.methods, ALL_METHODS]:
            where = {"method": method, "experiment": left, "versus": right}
            both = group.curve(left, method), group.curve(right, method)
            yield from _differences("experiment_difference", where, group, both, seed)


def _between_methods(group: CurveGroup, seed: int) -> Iterator[Row]:
    for left, right in combinations(group.methods, 2):
        for experiment in group.experiments:
            where = {"method": left, "experiment": experiment, "versus": right}
            both = group.curve(experiment, left), group.curve(experiment, right)
            yield from _differences("method_difference", where, group, both, seed)


def _differences(
    name: str, where: dict[str, str], group: CurveGroup, both: tuple[Array, Array], seed: int
) -> Iterator[Row]:
    paired = both[0] - both[1]
    points = zip(
        group.windows["layer"],
        mean_curve(paired),
        *interval_of_mean(paired, seed),
        concepts_with_a_value(paired),
        strict=True,
    )
    for layer, *numbers in points:
        yield _row(Estimate(*numbers), **where, statistic=name, layer=int(layer))
    peaks = estimate(difference_of_peaks, *both, seed=seed)
    yield _row(peaks, **where, statistic=f"{name}_of_peaks")


def _row(number: Estimate, **where: Any) -> Row:
    return {**where, **vars(number)}
