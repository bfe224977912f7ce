"""Depth: what facts lose with an unlearned model's states, beside the reference model's."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from stillknows.analysis.comparisons import (
    ABOVE,
    FACTS_SURVIVE,
    LESS,
    MORE,
    NO_REFERENCE,
    NOT_DISTINGUISHABLE,
    NOT_TESTED,
)
from stillknows.analysis.curve_groups import ALL_METHODS
from stillknows.analysis.depth import ALL, LOWER_AND_MIDDLE
from stillknows.report.formatting import NONE, counted, name_of, number, with_interval
from stillknows.report.sources import Shown, Sources, highest, records
from stillknows.terms import DENOISING

# Outcome where no fact survives -> the end of the paragraph on an unlearned model.
_MEANING = {
    LESS: "On average, the facts lose less than with this one reference model.",
    MORE: "On average, the facts lose more than with this one reference model. That does not show "
    "that they are gone.",
    NOT_DISTINGUISHABLE: "This model is not distinguishable from this one reference model. That "
    "does not show that the facts are gone.",
    NOT_TESTED: "Whether the facts lose as much as with the reference model was not tested, "
    "so nothing can be concluded about erasure.",
}
_THERE_IS_NONE = "has no reference model, so nothing can be concluded about erasure."
_COPY = ["model", "origin", "method", "form"]

Row = Mapping[str, Any]


def depth_page(sources: Sources, shown: Shown) -> dict[str, Any]:
    """What the page says of depth.

    Returns:
        has_reference; sentences, one or two per unlearned model; uds: a row per unlearned model;
        scores: KRS beside the reference model's, a row per unlearned model and component.
    """
    depth, beside = sources.table("depth.csv"), sources.table("reference.csv")
    return {
        "has_reference": sources.has_reference,
        "sentences": [] if depth is None else sentences(depth),
        "uds": pd.DataFrame() if depth is None else uds_table(depth),
        "scores": pd.DataFrame() if beside is None else score_table(beside, shown),
    }


def sentences(depth: pd.DataFrame) -> list[str]:
    """What tables/depth.csv says of each unlearned model over all layers."""
    rows = depth[depth["layers"] == ALL]
    values = {name: set(rows[name]) - {""} for name in _COPY}  # a copy without reference: no form
    telling = [name for name in _COPY if name == "method" or len(values[name]) > 1]
    return [_sentence(row, telling) for row in records(rows)]


def _sentence(row: Row, telling: list[str]) -> str:
    name = ", ".join(str(row[column]) for column in telling if row[column])
    if row["outcome"] == NO_REFERENCE:
        return f"{name} {_THERE_IS_NONE}"
    of_what = row["note"] or counted(int(row["n"]), row["unit"])
    uds = f"UDS is {_number(row, 'uds')} ({of_what})."
    tested, surviving = int(row["facts_tested"]), int(row["facts_surviving"])
    if surviving == tested > 0:
        return f"{name}: {counted(tested, 'fact survives', 'facts survive')} of {tested}. {uds}"
    if row["outcome"] == FACTS_SURVIVE:
        return (
            f"{name}: {counted(surviving, 'fact survives', 'facts survive')} of {tested} "
            f"({row['surviving_questions']}; questions from 0). The others are not shown to be "
            f"gone. {uds}"
        )
    facts = "no fact could be tested"
    if tested:
        facts = (
            f"none of {counted(tested, 'fact')} survives; the 95 % interval allows a share of "
            f"up to {number(row['surviving_share_high'])} of such facts to survive"
        )
    return f"{name}: {facts}. {uds} {_MEANING[row['outcome']]}"


def uds_table(depth: pd.DataFrame) -> pd.DataFrame:
    """Which facts survive, UDS and the ratio, over all layers and the lower and middle ones."""
    compared = depth[depth["outcome"] != NO_REFERENCE]
    every, lower = (
        compared[compared["layers"] == layers].set_index(_COPY, drop=False)
        for layers in (ALL, LOWER_AND_MIDDLE)
    )
    return pd.DataFrame(
        [
            {
                "model": row["model"],
                "method": row["method"],
                "form": row["form"],
                "outcome": row["outcome"],
                "surviving facts": f"{row['facts_surviving']:g} of {row['facts_tested']:g}",
                "their share": _share(row),
                "UDS": _number(row, "uds"),
                "fact loss ratio": _number(row, "ratio"),
                "ratio, lower and middle layers": _number(below, "ratio"),
                "n": counted(int(row["n"]), row["unit"]),
            }
            for row, below in zip(records(every), records(lower.loc[every.index]), strict=True)
        ]
    )


def _share(row: Row) -> str:
    """The interval of the share of facts that survive; a dash where no fact was tested."""
    if not row["facts_tested"]:
        return NONE
    return f"{number(row['surviving_share_low'])} to {number(row['surviving_share_high'])}"


def score_table(beside: pd.DataFrame, shown: Shown) -> pd.DataFrame:
    """KRS where it is highest, beside the reference model's at the same layer.

    Args:
        beside: tables/reference.csv.
    """
    rows = shown.leading(beside)
    rows = rows[(rows["method"] != ALL_METHODS) & rows["experiment"].isin(DENOISING)]
    keys = ["model", "origin", "method", "experiment"]
    rows = rows.assign(is_above=rows["outcome"] == ABOVE, is_tested=rows["outcome"] != NOT_TESTED)
    rows = rows.join(
        rows.groupby(keys)[["is_above", "is_tested"]].sum().add_prefix("number_"), on=keys
    )
    rows["experiment"] = pd.Categorical(rows["experiment"], DENOISING)
    return pd.DataFrame(
        [
            {
                "model": row["model"],
                "method": row["method"],
                "patched": name_of(row["experiment"]),
                "highest": row["where"],
                "reference model there": _number(row, "reference"),
                "difference": _number(row, "difference"),
                "outcome": row["outcome"],
                "layers above": f"{row['number_is_above']} of {row['number_is_tested']}"
                if row["number_is_tested"]
                else NOT_TESTED,
            }
            for row in records(highest(rows, "mean", keys))
        ]
    )


def _number(row: Row, name: str) -> str:
    """A number of a table and its interval, where it has one."""
    ends = {"low": f"{name}_low", "high": f"{name}_high"}
    values = {end: row.get(column, float("nan")) for end, column in ends.items()}
    return with_interval({"value": row[name], **values})
