"""Depth: what facts lose with an unlearned model's states, beside the reference model's."""

from typing import Any

import pandas as pd

from stillknows.analysis.comparisons import ABOVE, NOT_TESTED
from stillknows.analysis.curve_groups import ALL_METHODS
from stillknows.analysis.depth import ALL, LOWER_AND_MIDDLE
from stillknows.report.sources import Shown, highest, records
from stillknows.terms import DENOISING

_COPY = ["model", "origin", "method", "form"]


def unlearned_models(depth: pd.DataFrame | None) -> list[dict[str, Any]]:
    """Per unlearned model its row of tables/depth.csv over all layers.

    Its `name` tells it from the others; lower_...: the columns over the lower and middle layers.
    """
    if depth is None:
        return []
    lower = depth[depth["layers"] == LOWER_AND_MIDDLE].set_index(_COPY).add_prefix("lower_")
    rows = depth[depth["layers"] == ALL].join(lower, on=_COPY)
    values = {name: set(rows[name]) - {""} for name in _COPY}  # a copy without reference: no form
    telling = [name for name in _COPY if name == "method" or len(values[name]) > 1]
    return [
        row | {"name": ", ".join(str(row[name]) for name in telling if row[name])}
        for row in records(rows)
    ]


def highest_scores(reference: pd.DataFrame | None, shown: Shown) -> list[dict[str, Any]]:
    """Per unlearned model and component, the row of tables/reference.csv where KRS is highest.

    layers_above: how many layers are above the reference model's, of the layers_tested.
    """
    if reference is None:
        return []
    rows = shown.leading(reference)
    rows = rows[(rows["method"] != ALL_METHODS) & rows["experiment"].isin(DENOISING)]
    keys = ["model", "origin", "method", "experiment"]
    rows = rows.assign(above=rows["outcome"] == ABOVE, tested=rows["outcome"] != NOT_TESTED)
    rows = rows.join(rows.groupby(keys)[["above", "tested"]].sum().add_prefix("layers_"), on=keys)
    rows["experiment"] = pd.Categorical(rows["experiment"], DENOISING)
    return records(highest(rows, "mean", keys))
