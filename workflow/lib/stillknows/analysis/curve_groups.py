"""Curves that may be compared, as one array: experiments x methods x concepts x layers."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd

from stillknows.analysis.bootstrap import Array
from stillknows.terms import KNOWN_STATE, ORIGINAL

ALL_METHODS = "all"
DONOR = ORIGINAL  # the donor of the recovery curves; all others are controls
GROUP_COLUMNS = ["model", "origin", "window", "span", "donor", "score"]
WINDOW_COLUMNS = ["layer", "first_layer", "last_layer"]


@dataclass(frozen=True)
class CurveGroup:
    """All curves of one model, origin, window, span, donor and score."""

    key: dict[str, str]  # by GROUP_COLUMNS
    experiments: list[str]
    methods: list[str]
    concepts: list[str]
    windows: pd.DataFrame  # WINDOW_COLUMNS, one row per point of a curve, sorted by layer
    values: Array  # (experiments, methods, concepts, layers), NaN where there is no value

    @property
    def curves(self) -> list[tuple[str, str]]:
        """The experiment and method of each curve; the mean over methods is the last method.

        Models of known state, which are compared with others, have no such mean.
        """
        overall = [] if self.key["origin"] == KNOWN_STATE else [ALL_METHODS]
        return list(product(self.experiments, [*self.methods, *overall]))

    def curve(self, experiment: str, method: str = ALL_METHODS) -> Array:
        """The values of one curve: (methods, concepts, layers)."""
        chosen = slice(None) if method == ALL_METHODS else [self.methods.index(method)]
        values: Array = self.values[self.experiments.index(experiment)][chosen]
        return values


def curve_groups(scores: pd.DataFrame) -> Iterator[CurveGroup]:
    """Arrange the rows of `concept_scores`, in the order of their keys."""
    for key, group in scores.groupby(GROUP_COLUMNS, observed=True, sort=True):
        windows = group[WINDOW_COLUMNS].drop_duplicates().sort_values("layer", ignore_index=True)
        (experiments, experiment), (methods, method), (concepts, concept) = (
            np.unique(group[column].astype(str), return_inverse=True)
            for column in ("experiment", "method", "concept")
        )
        layer = np.searchsorted(windows["layer"], group["layer"])
        values = np.full((len(experiments), len(methods), len(concepts), len(windows)), np.nan)
        values[experiment, method, concept, layer] = group["value"]
        yield CurveGroup(
            dict(zip(GROUP_COLUMNS, map(str, key), strict=True)),
            experiments.tolist(),
            methods.tolist(),
            concepts.tolist(),
            windows,
            values,
        )
