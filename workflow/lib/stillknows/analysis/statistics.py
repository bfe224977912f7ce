"""tables/statistics.csv: what the curves say, and how they differ, with intervals.

A reading is given the windows, the mean curve of all concepts, (layers,), and that of every
resample, (draws, layers); it returns a number of each. The highest point is chosen once, on the
mean curve: chosen again in each resample, the maximum of many layers would be optimistic.
"""

from collections.abc import Iterator
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from stillknows.analysis.bootstrap import Array, Reading, estimate, mean_and_interval
from stillknows.analysis.tables import ALL_METHODS, DONOR, GROUP_COLUMNS, CurveGroup, curve_groups
from stillknows.engine.windows import PREFIX, SUFFIX

Mask = npt.NDArray[np.bool_]

_KEYS = [*GROUP_COLUMNS, "method", "experiment", "statistic", "versus", "layer"]
STATISTIC_COLUMNS = [*_KEYS, "value", "low", "high", "n"]
_LEAST_POINTS = 3  # any two points are perfectly monotone


def window_group(windows: pd.DataFrame, group: str) -> Mask:
    """Which windows are in a group: all, those drawn in a third of the model, or by the last layer.

    topmost: the window at the last layer; of prefixes, all layers.
    """
    layer, layers = windows["layer"].to_numpy(), int(windows["last_layer"].max()) + 1
    third = layer * 3 // layers
    with_last: Mask = (windows["last_layer"] == layers - 1).to_numpy(bool)
    groups: dict[str, Mask] = {
        "all": np.ones(len(windows), bool),
        "early": third == 0,
        "early and middle": third < 2,
        "middle and late": third > 0,
        "late": third == 2,
        "topmost": layer == layer.max(),
        "with last layer": with_last,
        "without last layer": ~with_last,
    }
    return groups[group]


# Readings.


def peak(windows: pd.DataFrame, mean: Array, curve: Array, group: str | None = None) -> Array:
    """The value at the highest point of the mean curve, or of a group of its windows."""
    eligible = np.isfinite(mean)
    if group is not None:
        eligible &= window_group(windows, group)
    index = int(np.where(eligible, mean, -np.inf).argmax())
    return curve[:, index] if eligible.any() else np.full(len(curve), np.nan)


best_with_final_layer = partial(peak, group="with last layer")
best_without_final_layer = partial(peak, group="without last layer")


def final_layer_lead(*curves: Any) -> Array:
    """The highest point of windows with the last layer, less that of all others."""
    return best_with_final_layer(*curves) - best_without_final_layer(*curves)


def difference_of_peaks(
    windows: pd.DataFrame, left_mean: Array, right_mean: Array, left: Array, right: Array
) -> Array:
    """The highest point of one curve, less that of another, wherever each lies."""
    return peak(windows, left_mean, left) - peak(windows, right_mean, right)


def peak_layer(windows: pd.DataFrame, _mean: Array, curve: Array) -> Array:
    """The layer of each resample's highest point, the lower one of two equals."""
    finite = np.isfinite(curve)
    index = np.where(finite, curve, -np.inf).argmax(axis=1)
    return np.where(finite.any(axis=1), windows["layer"].to_numpy()[index], np.nan)


def final_window(windows: pd.DataFrame, _mean: Array, curve: Array) -> Array:
    """The value at the last layer: of the window centred there, of it alone, or of all layers."""
    return curve[:, int(windows["layer"].argmax())]


def layers_that_give(windows: pd.DataFrame, _mean: Array, curve: Array, share: float) -> Array:
    """How many layers the shortest suffix or prefix has that gives this share of the best."""
    sizes = (windows["last_layer"] - windows["first_layer"] + 1).to_numpy()
    best = np.where(np.isfinite(curve), curve, -np.inf).max(axis=1, keepdims=True)
    shortest = np.where(curve >= share * best, sizes, np.inf).min(axis=1)
    return np.where(best[:, 0] > 0, shortest, np.nan)


def final_layer_share(windows: pd.DataFrame, mean: Array, curve: Array) -> Array:
    """How much of the best recovery depends on the last layer; NaN where nothing comes back.

    Sliding windows and prefixes: (W - R) / max(W, R), with W the highest value of the windows that
    cover the last layer, R of those that do not, both taken as 0 where negative: between -1 and 1.
    Suffixes: L / W, with L the value of the last layer alone, W the highest of all.
    """
    if window_group(windows, "with last layer").all():
        part, least = final_window(windows, mean, curve), 0.0
        whole = np.fmax(peak(windows, mean, curve), part)
    else:
        covering = np.maximum(best_with_final_layer(windows, mean, curve), 0)
        rest = np.maximum(best_without_final_layer(windows, mean, curve), 0)
        part, whole, least = covering - rest, np.maximum(covering, rest), -1.0
    return np.where(whole > 0, np.maximum(part / np.where(whole > 0, whole, 1.0), least), np.nan)


def rank_correlation(curves: Array) -> Array:
    """Spearman's correlation of each curve with the layer, (..., layers) -> (...,); may be NaN."""
    flat = pd.DataFrame(curves.reshape(-1, curves.shape[-1]))
    layer = pd.DataFrame(np.broadcast_to(np.arange(float(flat.shape[1])), flat.shape))
    # Ranks with ties averaged; the layers' among the layers that have a value.
    ranks, ranks_of_layers = (part.rank(axis=1) for part in (flat, layer.where(flat.notna())))
    enough = flat.count(axis=1) >= _LEAST_POINTS
    correlation = np.where(enough, ranks.corrwith(ranks_of_layers, axis=1), np.nan)
    return correlation.reshape(curves.shape[:-1])


# The table.

_ALL_WINDOWS: dict[str, Reading] = {
    "peak": peak,
    "peak_layer": peak_layer,
    "final_window": final_window,
    "final_layer_share": final_layer_share,
}
_SLIDING: dict[str, Reading] = _ALL_WINDOWS | {
    "best_with_final_layer": best_with_final_layer,
    "best_without_final_layer": best_without_final_layer,
    "final_layer_lead": final_layer_lead,
}
_NESTED: dict[str, Reading] = {
    "layers_for_half": partial(layers_that_give, share=0.5),
    "layers_for_most": partial(layers_that_give, share=0.9),
}
# By the kind of window; all others are sliding.
_READINGS = {SUFFIX: _ALL_WINDOWS | _NESTED, PREFIX: _SLIDING | _NESTED}


def statistics(scores: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """STATISTIC_COLUMNS of the curves whose donor is the original (docs/explanation/statistics.md).

    Differences are paired: of the concepts that both sides have. So a difference of peaks is not
    the difference of two rows `peak` where sweeps are missing.
    """
    rows = [
        {**group.key, **row}
        for group in curve_groups(scores[scores["donor"] == DONOR])
        for row in (*_curve_rows(group, seed), *_difference_rows(group, seed))
    ]
    table = pd.DataFrame(rows, columns=STATISTIC_COLUMNS).astype({"layer": "Int64"})
    return table.sort_values(_KEYS, ignore_index=True)


def _curve_rows(group: CurveGroup, seed: int) -> Iterator[dict[Any, Any]]:
    readings = _READINGS.get(group.key["window"], _SLIDING)
    for experiment, method in group.curves:
        curve = group.curve(experiment, method)
        key = {"method": method, "experiment": experiment, "versus": ""}
        for name, reading in readings.items():
            number = estimate(partial(reading, group.windows), curve, seed=seed)
            yield {**key, "statistic": name, **vars(number)}
        # Of each concept first: a mean curve rises more steadily than those it is made of. The peak
        # of a single point is the point.
        correlation = rank_correlation(curve)[..., None]
        number = estimate(partial(peak, group.windows), correlation, seed=seed)
        yield {**key, "statistic": "monotonicity", **vars(number)}


def _difference_rows(group: CurveGroup, seed: int) -> Iterator[dict[Any, Any]]:
    """Of two experiments, and of two methods: at each layer, and of their peaks."""
    for first, second in combinations(group.curves, 2):
        (experiment, method), (other_experiment, other_method) = first, second
        if method == other_method:
            name, versus = "experiment_difference", other_experiment
        elif experiment == other_experiment and other_method != ALL_METHODS:
            name, versus = "method_difference", other_method
        else:
            continue
        key = {"method": method, "experiment": experiment, "versus": versus}
        left, right = group.curve(*first), group.curve(*second)
        points = group.windows[["layer"]].assign(**mean_and_interval(left - right, seed))
        yield from ({**key, "statistic": name, **point} for point in points.to_dict("records"))
        peaks = estimate(partial(difference_of_peaks, group.windows), left, right, seed=seed)
        yield {**key, "statistic": f"{name}_of_peaks", **vars(peaks)}
