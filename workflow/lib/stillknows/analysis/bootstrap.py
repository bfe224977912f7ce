"""Intervals over concepts: a concept is drawn with all its rows, so differences are paired."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

RESAMPLES = 10_000
MIN_CONCEPTS = 5  # under five concepts a bootstrap has too few distinct resamples to mean anything
INTERVAL = (2.5, 97.5)  # percentiles of the resamples

Array = npt.NDArray[np.float64]
# (mean curves, (layers,) each; the same of the resamples, (draws, layers) each) -> (draws,)
Reading = Callable[..., Array]


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval; NaN is null. n: how many concepts stand behind it."""

    value: float
    low: float
    high: float
    n: int


NOTHING = Estimate(np.nan, np.nan, np.nan, 0)


@lru_cache(maxsize=8)
def draws(concepts: int, seed: int) -> Array:
    """How often each concept is in each resample, (RESAMPLES, concepts); alike for every curve."""
    even = np.full(concepts, 1 / concepts)
    drawn = np.random.default_rng(seed).multinomial(concepts, even, size=RESAMPLES)
    counts: Array = drawn.astype(float)
    counts.flags.writeable = False  # the cache hands the same array to all callers
    return counts


def mean_of_present(values: Array, axis: int) -> Array:
    """The mean along an axis of what is not NaN; NaN where nothing is."""
    count = np.isfinite(values).sum(axis=axis)
    total: Array = np.nansum(values, axis=axis)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def mean_curve(values: Array) -> Array:
    """The mean over methods of means over concepts, (methods, concepts, layers) to (layers,)."""
    return mean_of_present(mean_of_present(values, axis=1), axis=0)


def resampled(values: Array, seed: int) -> Array:
    """`mean_curve` of each resample, (RESAMPLES, layers); NaN where none of its concepts has a
    value.
    """
    finite = np.isfinite(values)
    counts = draws(values.shape[1], seed)
    # einsum, not matmul: BLAS may add in another order when the number of threads changes.
    if finite.all():
        means: Array = np.einsum("rc,cl->rl", counts, values.mean(axis=0)) / values.shape[1]
        return means
    total = np.einsum("rc,mcl->mrl", counts, np.where(finite, values, 0.0))
    weight = np.einsum("rc,mcl->mrl", counts, finite.astype(float))
    return mean_of_present(np.where(weight > 0, total / np.maximum(weight, 1), np.nan), axis=0)


def mean_and_interval(values: Array, seed: int) -> dict[str, npt.NDArray[Any]]:
    """Value, low, high and n of each point of a mean curve: (layers,) each; see `Estimate`."""
    low, high = interval_of_mean(values, seed)
    n = np.isfinite(values).any(axis=0).sum(axis=0)
    return {"value": mean_curve(values), "low": low, "high": high, "n": n}


def interval_of_mean(values: Array, seed: int) -> tuple[Array, Array]:
    """Low and high of `mean_curve`, (layers,) each; NaN where under MIN_CONCEPTS have a value."""
    has_value = np.asarray(np.isfinite(values).any(axis=0))
    enough = has_value.sum(axis=0) >= MIN_CONCEPTS
    if not enough.any():
        return np.full(len(enough), np.nan), np.full(len(enough), np.nan)
    # A concept without any value is no unit to draw.
    low, high = limits(resampled(values[:, has_value.any(axis=1)], seed))
    return np.where(enough, low, np.nan), np.where(enough, high, np.nan)


def estimate(reading: Reading, *curves: Array, seed: int) -> Estimate:
    """A number that is read off one or more mean curves, with its interval; resamples are shared.

    Args:
        curves: (methods, concepts, layers) each, NaN where there is no value. A method and concept
            that one of them lacks altogether is left out of all.

    Returns:
        null where no concept is left; no interval under MIN_CONCEPTS of them, or if the number is
        undefined (NaN) in any resample.
    """
    in_all = np.all([np.isfinite(curve).any(axis=2) for curve in curves], axis=0)
    used = [np.where(in_all[..., None], curve, np.nan)[:, in_all.any(axis=0)] for curve in curves]
    concepts = used[0].shape[1]
    if not concepts:
        return NOTHING
    means = [mean_curve(curve) for curve in used]
    value, low, high = float(reading(*means, *(mean[None] for mean in means))[0]), np.nan, np.nan
    if concepts >= MIN_CONCEPTS and np.isfinite(value):
        sampled = reading(*means, *(resampled(curve, seed) for curve in used))
        if np.isfinite(sampled).all():
            low, high = map(float, limits(sampled))
    return Estimate(value, low, high, concepts)


def limits(sampled: Array) -> tuple[Array, Array]:
    """The percentiles of INTERVAL along the first axis, of what is not NaN."""
    # inverted_cdf: a value that occurred, so that the interval of a layer is made of layers.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a layer without any value gives NaN
        low, high = np.nanpercentile(sampled, INTERVAL, axis=0, method="inverted_cdf")
    return low, high
