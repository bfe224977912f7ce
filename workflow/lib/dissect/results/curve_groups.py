"""Curves that may be compared, as one array: experiments x methods x concepts x layers."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from dissect.results.bootstrap import Array

ALL_METHODS = "all"
DONOR = "original"  # the donor of the recovery curves; all others are controls
GROUP_COLUMNS = ["model", "origin", "window", "span", "donor", "score"]
WINDOW_COLUMNS = ["layer", "first_layer", "last_layer"]


@dataclass(frozen=True)
class CurveGroup:
    """All curves of one model, origin, window, span, donor and score.

    `windows` has the columns WINDOW_COLUMNS, one row per point of a curve, sorted by layer. The
    arrays have the shape (experiments, methods, concepts, layers) and are NaN where a row is
    missing; `values` also where the row has no value.
    """

    key: dict[str, str]
    experiments: list[str]
    methods: list[str]
    concepts: list[str]
    windows: pd.DataFrame
    values: Array
    questions: Array
    null: Array

    def part(self, method: str) -> slice | list[int]:
        """Where a method is in the arrays; "all" is every one of them."""
        return slice(None) if method == ALL_METHODS else [self.methods.index(method)]

    def curve(self, experiment: str, method: str = ALL_METHODS) -> Array:
        """The values of one curve: (methods, concepts, layers)."""
        values: Array = self.values[self.experiments.index(experiment)][self.part(method)]
        return values


def curve_groups(scores: pd.DataFrame) -> Iterator[CurveGroup]:
    """Arrange the rows of `concept_scores`, in the order of their keys."""
    for key, group in scores.groupby(GROUP_COLUMNS, observed=True, sort=True):
        yield _curve_group(dict(zip(GROUP_COLUMNS, map(str, key), strict=True)), group)


def _curve_group(key: dict[str, str], group: pd.DataFrame) -> CurveGroup:
    windows = group[WINDOW_COLUMNS].drop_duplicates().sort_values("layer", ignore_index=True)
    names, indices = [], []
    for column in ("experiment", "method", "concept"):
        unique, index = np.unique(group[column].astype(str), return_inverse=True)
        names.append([str(name) for name in unique])
        indices.append(index)
    indices.append(np.searchsorted(windows["layer"].to_numpy(), group["layer"]))
    shape = (*map(len, names), len(windows))

    def cube(column: str) -> Array:
        filled = np.full(shape, np.nan)
        filled[tuple(indices)] = group[column].to_numpy(dtype=float)
        return filled

    experiments, methods, concepts = names
    arrays = (cube(column) for column in ("value", "questions", "null"))
    return CurveGroup(key, experiments, methods, concepts, windows, *arrays)
