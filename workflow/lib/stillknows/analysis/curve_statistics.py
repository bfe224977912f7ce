"""Statistics of a curve against layer: its peak, whether it rises, the last layer's share.

A reading is given the windows (`curve_groups.CurveGroup.windows`) and the mean curve of all
concepts, (layers,), and returns how the number is taken of that curve and of every resample,
(draws, layers) -> (draws,). The highest point is chosen once, on the mean curve, and all resamples
are read at its layer: chosen again in each resample, the maximum of many layers would be
optimistic, and its interval could lie wholly above its value.
"""

from collections.abc import Callable
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from stillknows.analysis.bootstrap import Array, Statistic

Third = Literal["early", "middle", "late"]
Mask = npt.NDArray[np.bool_]
Where = Callable[[pd.DataFrame], Mask]  # which of the windows
Reading = Callable[..., Statistic]  # (windows, mean curve ...) -> statistic

_LEAST_POINTS = 3  # any two points are perfectly monotone


def layer_count(windows: pd.DataFrame) -> int:
    """How many layers the model has: up to the highest that any window covers."""
    return int(windows["last_layer"].max()) + 1


def with_last_layer(windows: pd.DataFrame) -> Mask:
    """The windows that cover the model's last layer."""
    return (windows["last_layer"] == layer_count(windows) - 1).to_numpy(bool)


def without_last_layer(windows: pd.DataFrame) -> Mask:
    """The windows that do not cover the model's last layer."""
    return ~with_last_layer(windows)


def every_window(windows: pd.DataFrame) -> Mask:
    """All windows."""
    return np.ones(len(windows), bool)


def topmost(windows: pd.DataFrame) -> Mask:
    """The window at the last layer: centred there, it alone, or, of prefixes, all layers."""
    layer = windows["layer"].to_numpy()
    mask: Mask = layer == layer.max()
    return mask


def in_thirds(*names: Third) -> Where:
    """The windows that are drawn at a layer of these thirds of the model."""
    order = ("early", "middle", "late")
    wanted = [order.index(name) for name in names]
    return lambda windows: np.isin(windows["layer"] * len(order) // layer_count(windows), wanted)


def highest(where: Where | None = None) -> Reading:
    """The value at the highest point of the curve, or of some of its windows."""
    return lambda windows, mean: _at(_highest(mean, where and where(windows)))


peak = highest()


def advantage(ahead: Where, behind: Where) -> Reading:
    """The highest point among some windows, less the highest among others."""

    def reading(windows: pd.DataFrame, mean: Array) -> Statistic:
        left, right = highest(ahead)(windows, mean), highest(behind)(windows, mean)
        return lambda curve: left(curve) - right(curve)

    return reading


# Not of suffixes: all of them cover the last layer, which leaves nothing to compare.
final_layer_advantage = advantage(with_last_layer, without_last_layer)


def difference_of_peaks(windows: pd.DataFrame, left: Array, right: Array) -> Statistic:
    """The highest point of one curve, less that of another, wherever each lies."""
    left_peak, right_peak = peak(windows, left), peak(windows, right)
    return lambda one, two: left_peak(one) - right_peak(two)


def peak_layer(windows: pd.DataFrame, mean: Array) -> Statistic:
    """The layer of each resample's highest point, the lower one of two equals."""

    def layer(curve: Array) -> Array:
        finite = np.isfinite(curve)
        index = np.where(finite, curve, -np.inf).argmax(axis=1)
        return np.where(finite.any(axis=1), windows["layer"].to_numpy()[index], np.nan)

    return layer


def final_window(windows: pd.DataFrame, mean: Array) -> Statistic:
    """The value at the last layer: of the window centred there, of it alone, or of all layers."""
    return _at(int(windows["layer"].argmax()))


def layers_that_give(windows: pd.DataFrame, mean: Array, share: float) -> Statistic:
    """Of suffixes or prefixes: how many layers the shortest has that gives this share of the best.

    So layers are counted from the last one, or from the first. Separately in each resample; NaN
    where nothing is recovered.
    """
    sizes = (windows["last_layer"] - windows["first_layer"] + 1).to_numpy()

    def layers(curve: Array) -> Array:
        best = np.where(np.isfinite(curve), curve, -np.inf).max(axis=1, keepdims=True)
        enough = curve >= share * best
        shortest = np.where(enough, sizes, np.inf).min(axis=1)
        return np.where(best[:, 0] > 0, shortest, np.nan)

    return layers


def final_layer_share(windows: pd.DataFrame, mean: Array) -> Statistic:
    """How much of the best recovery depends on the last layer; NaN where nothing comes back.

    Sliding windows and prefixes: (W - R) / max(W, R), with W the highest value of the windows that
    cover the last layer, R of those that do not, both taken as 0 where negative. 1: nothing comes
    back without the last layer; 0: as much without it as with it; -1: nothing comes back with it.

    Suffixes, which all cover the last layer: L / W, with L the value of the suffix of the last
    layer alone, W the highest of all; between 0 and 1.
    """
    if with_last_layer(windows).all():
        alone, best = final_window(windows, mean), peak(windows, mean)
        return lambda curve: _ratio(alone(curve), np.fmax(best(curve), alone(curve)))
    covering = highest(with_last_layer)(windows, mean)
    rest = highest(without_last_layer)(windows, mean)

    def share(curve: Array) -> Array:
        with_last, without = np.maximum(covering(curve), 0), np.maximum(rest(curve), 0)
        return _ratio(with_last - without, np.maximum(with_last, without), least=-1.0)

    return share


def _ratio(part: Array, whole: Array, least: float = 0.0) -> Array:
    """part / whole, at least `least`; NaN where the whole is not above 0."""
    defined = whole > 0
    return np.where(defined, np.maximum(part / np.where(defined, whole, 1.0), least), np.nan)


def _highest(mean: Array, where: Mask | None = None) -> int | None:
    """The index of the highest of the chosen points (None: all), None if none has a value."""
    chosen = np.isfinite(mean) if where is None else np.isfinite(mean) & where
    return int(np.where(chosen, mean, -np.inf).argmax()) if chosen.any() else None


def _at(index: int | None) -> Statistic:
    """The value at one point of the curve; NaN if there is no such point."""
    return lambda curve: np.full(len(curve), np.nan) if index is None else curve[:, index]


def rank_correlation(curves: Array) -> Array:
    """Spearman's correlation of each curve with the layer, (..., layers) -> (...,).

    1 rises, -1 falls throughout; NaN where under three layers have a value, or all are the same.
    """
    flat = pd.DataFrame(curves.reshape(-1, curves.shape[-1]))
    layer = pd.DataFrame(np.broadcast_to(np.arange(float(flat.shape[1])), flat.shape))
    # Ranks with ties averaged; the layers' among the layers that have a value.
    ranks, ranks_of_layers = (part.rank(axis=1) for part in (flat, layer.where(flat.notna())))
    enough = flat.count(axis=1) >= _LEAST_POINTS
    correlation = np.where(enough, ranks.corrwith(ranks_of_layers, axis=1), np.nan)
    return correlation.reshape(curves.shape[:-1])
