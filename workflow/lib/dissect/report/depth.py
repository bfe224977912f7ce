"""Depth: what the unlearned models do to the facts, beside what the reference model does."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from dissect.analysis.bootstrap import too_few
from dissect.analysis.curve_groups import ALL_METHODS
from dissect.analysis.depth import ALL, LOWER_AND_MIDDLE
from dissect.analysis.outcomes import ABOVE, NO_REFERENCE, NOT_DISTINGUISHABLE
from dissect.report.formatting import counted, name_of, with_interval
from dissect.report.sources import Shown, Sources, highest, records
from dissect.terms import DENOISING

# Outcome -> the end of the sentence on an unlearned model.
_MEANING = {
    ABOVE: "This model does less damage than the reference model: it is above this one reference "
    "model.",
    NOT_DISTINGUISHABLE: "This model is not distinguishable from this one reference model. That "
    "does not show that the facts are gone.",
}
_THERE_IS_NONE = "has no reference model, so nothing can be concluded about erasure."
# Outcome -> what a table calls it.
_IN_TABLES = {ABOVE: "above this one reference model"}
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
    return f"{name}: UDS is {_number(row, 'uds')} ({of_what}). {_MEANING[row['outcome']]}"


def uds_table(depth: pd.DataFrame) -> pd.DataFrame:
    """UDS and the damage ratio over all layers and over the lower and middle ones."""
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
                "UDS": _number(row, "uds"),
                "damage ratio": _number(row, "ratio"),
                "outcome": _outcome(row["outcome"]),
                "ratio, lower and middle layers": _number(below, "ratio"),
                "outcome there (exploratory)": _outcome(below["outcome"]),
                "n": counted(int(row["n"]), row["unit"]),
            }
            for row, below in zip(records(every), records(lower.loc[every.index]), strict=True)
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
    rows = rows.assign(is_above=rows["outcome"] == ABOVE)
    rows = rows.join(rows.groupby(keys)["is_above"].agg(["sum", "size"]), on=keys)
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
                "outcome": _outcome(row["outcome"]) or too_few(int(row["n_concepts"])),
                "layers above": f"{row['sum']} of {row['size']}",
            }
            for row in records(highest(rows, "mean", keys))
        ]
    )


def _outcome(outcome: str) -> str:
    """What a table calls it; there is one reference model, and its own variation is unknown."""
    return _IN_TABLES.get(outcome, outcome)


def _number(row: Row, name: str) -> str:
    """A number of a table and its interval, where it has one."""
    ends = {"low": f"{name}_low", "high": f"{name}_high"}
    values = {end: row.get(column, float("nan")) for end, column in ends.items()}
    return with_interval({"value": row[name], **values})
