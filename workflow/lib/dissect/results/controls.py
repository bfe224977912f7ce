"""tables/controls.csv: what donors that know nothing of a question give back, and what is left."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from dissect.results.bootstrap import (
    Array,
    concepts_with_a_value,
    interval_of_mean,
    mean_curve,
)
from dissect.results.families import ALL_METHODS, DONOR, FAMILY, WINDOW, Family, families

_KEYS = ["model", "origin", "method", "experiment", "window", "span", "donor", *WINDOW, "score"]
_DIFFERENCE = ["original", "difference", "difference_low", "difference_high"]
CONTROL_COLUMNS = [*_KEYS, "mean", "low", "high", *_DIFFERENCE, "n_concepts"]


def controls(scores: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """The floor under each point of a curve where there is one, beside the original's score.

    Means over questions, concepts and (method "all") methods, with intervals over concepts, as in
    `results.tables.curves`. The original's score and the difference to it are of the same methods
    and concepts, and the difference's interval is of paired draws: each concept with both donors.

    Args:
        scores: what `concept_scores` returns.
        seed: of the bootstrap.

    Returns:
        CONTROL_COLUMNS, one row per point; none where there are no controls. low, high and
        difference_low, difference_high are null under MIN_CONCEPTS concepts.
    """
    every = list(families(scores))
    originals = {_place(family): family for family in every if family.key["donor"] == DONOR}
    parts = [
        part
        for family in every
        if family.key["donor"] != DONOR and _place(family) in originals
        for part in _floors(family, originals[_place(family)], seed)
    ]
    if not parts:
        return pd.DataFrame(columns=CONTROL_COLUMNS)
    found = pd.concat(parts, ignore_index=True)[CONTROL_COLUMNS]
    return found.sort_values(_KEYS, ignore_index=True)


def _place(family: Family) -> tuple[str, ...]:
    return tuple(family.key[name] for name in FAMILY if name != "donor")


def _floors(floor: Family, original: Family, seed: int) -> Iterator[pd.DataFrame]:
    for experiment in floor.experiments:
        if experiment not in original.experiments:
            continue
        for method in [*floor.methods, ALL_METHODS]:
            ours = floor.curve(experiment, method)
            theirs = _alike(floor, original, experiment, method)
            ours, theirs = _paired(ours, theirs)
            low, high = interval_of_mean(ours, seed)
            difference = theirs - ours
            difference_low, difference_high = interval_of_mean(difference, seed)
            points = floor.windows.assign(
                **floor.key,
                experiment=experiment,
                method=method,
                mean=mean_curve(ours),
                low=low,
                high=high,
                original=mean_curve(theirs),
                difference=mean_curve(difference),
                difference_low=difference_low,
                difference_high=difference_high,
                n_concepts=concepts_with_a_value(ours),
            )
            yield points[points["n_concepts"] > 0]


def _alike(floor: Family, original: Family, experiment: str, method: str) -> Array:
    """The original's scores at the floor's methods, concepts and windows, NaN where it has none."""
    methods = floor.methods if method == ALL_METHODS else [method]
    values = original.values[original.experiments.index(experiment)]
    found = np.full((len(methods), len(floor.concepts), len(floor.windows)), np.nan)
    layers = [list(original.windows["layer"]).index(layer) for layer in floor.windows["layer"]]
    for i, name in enumerate(methods):
        for j, concept in enumerate(floor.concepts):
            if name in original.methods and concept in original.concepts:
                place = original.methods.index(name), original.concepts.index(concept)
                found[i, j] = values[place][layers]
    return found


def _paired(ours: Array, theirs: Array) -> tuple[Array, Array]:
    """Both without the values that one of them lacks."""
    there = np.isfinite(ours) & np.isfinite(theirs)
    return np.where(there, ours, np.nan), np.where(there, theirs, np.nan)
