"""Depth: what facts lose with an unlearned model's states, beside the reference model's."""

from typing import Any

import pandas as pd

from stillknows.analysis.curve_groups import ALL_METHODS
from stillknows.analysis.depth import ALL, LOWER_AND_MIDDLE
from stillknows.analysis.outcomes import ABOVE, NO_REFERENCE, NOT_TESTED
from stillknows.report.formatting import NONE, counted, name_of, number, with_interval
from stillknows.report.sources import Shown, highest, records
from stillknows.terms import DENOISING

_COPY = ["model", "origin", "method", "form"]


def copies_over_all_layers(depth: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of tables/depth.csv over all layers, with the `name` of each unlearned model."""
    rows = depth[depth["layers"] == ALL]
    values = {name: set(rows[name]) - {""} for name in _COPY}  # a copy without reference: no form
    telling = [name for name in _COPY if name == "method" or len(values[name]) > 1]
    return [
        row | {"name": ", ".join(str(row[name]) for name in telling if row[name])}
        for row in records(rows)
    ]


def uds_table(depth: pd.DataFrame) -> pd.DataFrame:
    """Which facts survive, UDS and the ratio, over all layers and the lower and middle ones."""
    compared = depth[depth["outcome"] != NO_REFERENCE]
    lower = {
        tuple(row[name] for name in _COPY): row
        for row in records(compared[compared["layers"] == LOWER_AND_MIDDLE])
    }
    return pd.DataFrame(
        [
            {
                "model": row["model"],
                "method": row["method"],
                "form": row["form"],
                "outcome": row["outcome"],
                "surviving facts": f"{row['facts_surviving']:g} of {row['facts_tested']:g}",
                "their share": f"{number(row['surviving_share_low'])} to "
                f"{number(row['surviving_share_high'])}"
                if row["facts_tested"]
                else NONE,
                "UDS": with_interval(row, "uds"),
                "fact loss ratio": with_interval(row, "ratio"),
                "ratio, lower and middle layers": with_interval(
                    lower[tuple(row[name] for name in _COPY)], "ratio"
                ),
                "n": counted(row["n"], row["unit"]),
            }
            for row in records(compared[compared["layers"] == ALL])
        ]
    )


def score_table(beside: pd.DataFrame, shown: Shown) -> pd.DataFrame:
    """KRS where it is highest, beside the reference model's at the same layer.

    Args:
        beside: tables/reference.csv.
    """
    rows = shown.leading(beside)
    rows = rows[(rows["method"] != ALL_METHODS) & rows["experiment"].isin(DENOISING)]
    keys = ["model", "origin", "method", "experiment"]
    rows = rows.assign(above=rows["outcome"] == ABOVE, tested=rows["outcome"] != NOT_TESTED)
    layers = rows.groupby(keys)[["above", "tested"]].sum().add_prefix("layers_")
    rows = rows.join(layers, on=keys)
    rows["experiment"] = pd.Categorical(rows["experiment"], DENOISING)
    return pd.DataFrame(
        [
            {
                "model": row["model"],
                "method": row["method"],
                "patched": name_of(row["experiment"]),
                "highest": row["where"],
                "reference model there": with_interval(row, "reference"),
                "difference": with_interval(row, "difference"),
                "outcome": row["outcome"],
                "layers above": f"{row['layers_above']} of {row['layers_tested']}"
                if row["layers_tested"]
                else NOT_TESTED,
            }
            for row in records(highest(rows, "mean", keys))
        ]
    )
