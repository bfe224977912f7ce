"""tables/controls.csv: control baselines, from donors that hold nothing about the question."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from dissect.results.bootstrap import (
    Array,
    concepts_with_a_value,
    interval_of_mean,
    mean_curve,
)
from dissect.results.curve_groups import (
    ALL_METHODS,
    DONOR,
    GROUP_COLUMNS,
    WINDOW_COLUMNS,
    CurveGroup,
    curve_groups,
)

_KEYS = [
    "model",
    "origin",
    "method",
    "experiment",
    "window",
    "span",
    "donor",
    *WINDOW_COLUMNS,
    "score",
]
_DIFFERENCE = ["original", "difference", "difference_low", "difference_high"]
CONTROL_COLUMNS = [*_KEYS, "mean", "low", "high", *_DIFFERENCE, "n_concepts"]


def controls(scores: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """The control baseline of each point of a curve, beside the original's score.

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
    every = list(curve_groups(scores))
    originals = {_key_without_donor(group): group for group in every if group.key["donor"] == DONOR}
    parts = [
        part
        for group in every
        if group.key["donor"] != DONOR and _key_without_donor(group) in originals
        for part in _baselines(group, originals[_key_without_donor(group)], seed)
    ]
    if not parts:
        return pd.DataFrame(columns=CONTROL_COLUMNS)
    rows = pd.concat(parts, ignore_index=True)[CONTROL_COLUMNS]
    return rows.sort_values(_KEYS, ignore_index=True)


def _key_without_donor(group: CurveGroup) -> tuple[str, ...]:
    return tuple(group.key[name] for name in GROUP_COLUMNS if name != "donor")


def _baselines(baseline: CurveGroup, original: CurveGroup, seed: int) -> Iterator[pd.DataFrame]:
    for experiment in baseline.experiments:
        if experiment not in original.experiments:
            continue
        for method in [*baseline.methods, ALL_METHODS]:
            control = baseline.curve(experiment, method)
            of_original = _same_curves(baseline, original, experiment, method)
            control, of_original = _paired(control, of_original)
            low, high = interval_of_mean(control, seed)
            difference = of_original - control
            difference_low, difference_high = interval_of_mean(difference, seed)
            points = baseline.windows.assign(
                **baseline.key,
                experiment=experiment,
                method=method,
                mean=mean_curve(control),
                low=low,
                high=high,
                original=mean_curve(of_original),
                difference=mean_curve(difference),
                difference_low=difference_low,
                difference_high=difference_high,
                n_concepts=concepts_with_a_value(control),
            )
            yield points[points["n_concepts"] > 0]


def _same_curves(baseline: CurveGroup, original: CurveGroup, experiment: str, method: str) -> Array:
    """The original's scores at the baseline's methods, concepts and windows; NaN if missing."""
    methods = baseline.methods if method == ALL_METHODS else [method]
    values = original.values[original.experiments.index(experiment)]
    curves = np.full((len(methods), len(baseline.concepts), len(baseline.windows)), np.nan)
    layers = [list(original.windows["layer"]).index(layer) for layer in baseline.windows["layer"]]
    for i, name in enumerate(methods):
        for j, concept in enumerate(baseline.concepts):
            if name in original.methods and concept in original.concepts:
                index = original.methods.index(name), original.concepts.index(concept)
                curves[i, j] = values[index][layers]
    return curves


def _paired(control: Array, of_original: Array) -> tuple[Array, Array]:
    """Both, NaN wherever one of them is NaN."""
    in_both = np.isfinite(control) & np.isfinite(of_original)
    return np.where(in_both, control, np.nan), np.where(in_both, of_original, np.nan)
