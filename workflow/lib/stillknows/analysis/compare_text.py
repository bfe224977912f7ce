"""A comparison of two results folders in words for people."""

from typing import Any

import pandas as pd

from stillknows.analysis.compare import CLAIM_KEYS, IDENTICAL, ROW_KEYS, Comparison

LISTED = 20  # rows of a section, at most; the CSV file has all
_VERDICT = [f"{name}_{side}" for side in ("old", "new") for name in ("verdict", "value", "n")]
_COUNTS = ["rows", "only_old", "only_new", "differ", "null_in_one", "largest"]


def as_text(comparison: Comparison, old: str, new: str, tolerance: float) -> str:
    """The whole comparison, in aligned columns."""
    exact = f"|NEW - OLD| up to {tolerance:g} counts as equal" if tolerance else "exact values"
    sweeps, tables, provenance = (
        comparison.differences[comparison.differences["kind"] == kind]
        for kind in ("sweep", "table", "provenance")
    )
    statuses = sweeps.drop_duplicates("name")["status"].value_counts()
    differing = sweeps[sweeps["status"] != IDENTICAL].sort_values(
        "largest", ascending=False, kind="stable"
    )
    sections = {
        "Sweeps": statuses.rename_axis("status").reset_index(name="sweeps"),
        "Largest differences of the sweeps in both": _by_column(differing),
        "Sweeps that differ": differing[["name", "status", "column", *_COUNTS]],
        "Provenance of the sweeps in both": provenance[["name", "rows", "old", "new"]],
        "Tables": tables[["name", "status", "column", *_COUNTS, "note"]],
        "Verdicts that differ": comparison.flips.reindex(columns=[*CLAIM_KEYS, *_VERDICT]),
    }
    texts = [f"{title}\n{_aligned(rows)}" for title, rows in sections.items() if len(rows)]
    ending = "equal" if comparison.is_equal else "not equal"
    return "\n\n".join([f"OLD  {old}\nNEW  {new}\n{exact}", *texts, ending])


def _aligned(rows: pd.DataFrame) -> str:
    """Texts to the left, at most LISTED rows, and how many there are beside them."""
    titles = pd.DataFrame([rows.columns.str.replace("_", " ")], columns=rows.columns)
    texts = pd.concat([titles, rows.head(LISTED)]).map(_value)
    padded = texts.apply(lambda column: column.str.ljust(column.str.len().max()))
    lines = ["  ".join(["", *row]).rstrip() for row in padded.to_numpy()]
    if len(rows) > LISTED:
        lines.append(f"  ... and {len(rows) - LISTED} more: --csv FILE has all")
    return "\n".join(lines)


def _by_column(sweeps: pd.DataFrame) -> pd.DataFrame:
    """Per column: in how many sweeps and rows it differs, and where most.

    Args:
        sweeps: the largest differences first.
    """
    columns = sweeps[sweeps["differ"].notna()].groupby("column", sort=False)
    sums = columns[["differ", "null_in_one"]].sum().assign(sweeps=columns.size())
    where = sweeps.reindex(columns=["column", "largest", "old", "new", "name", *ROW_KEYS])
    return sums.merge(where.drop_duplicates("column"), on="column")


def _value(value: Any) -> str:
    if pd.isna(value):
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)
