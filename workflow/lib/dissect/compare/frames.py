"""Two tables of the same kind, row by row: what is in one only, what differs, where most."""

from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype

from dissect.errors import DissectError

IDENTICAL, WITHIN, DIFFERS = "identical", "within tolerance", "differs"
ONLY_OLD, ONLY_NEW = "only in OLD", "only in NEW"

Record = dict[str, Any]


def compare_frames(
    old: pd.DataFrame, new: pd.DataFrame, keys: list[str], tolerance: float
) -> list[Record]:
    """Compare the rows that have the same keys, column by column.

    Two nulls are equal, a null and a value never are. Infinities are equal to themselves.

    Returns:
        a record per column that differs, or one if none does. In all of them: status, and how many
        rows are in both, only_old and only_new. Of a column: differ (rows that differ by more than
        the tolerance or are null on one side), null_in_one, largest (|NEW - OLD| of numbers), and
        the keys and values, old and new, of the row that has it, or else of the first row that
        differs. Of a column that is in one only: note, which one.

    Raises:
        DissectError: if two rows of one table have the same keys.
    """
    for side, frame in (("OLD", old), ("NEW", new)):
        _refuse_duplicates(side, frame, keys)
    values = [name for name in old.columns if name not in keys and name in new.columns]
    merged = merge_rows(old[keys + values], new[keys + values], keys)
    both = merged[merged["side"] == "both"].reset_index(drop=True)
    columns = [{"column": name, "note": ONLY_OLD} for name in old.columns.difference(new.columns)]
    columns += [{"column": name, "note": ONLY_NEW} for name in new.columns.difference(old.columns)]
    columns += [record for name in values if (record := _column(both, name, keys, tolerance))]
    sides = merged["side"].value_counts()
    differs = len(both) < len(merged) or any(one.get("differ", 1) for one in columns)
    shared = {
        "status": DIFFERS if differs else WITHIN if columns else IDENTICAL,
        "rows": len(both),
        "only_old": int(sides["left_only"]),
        "only_new": int(sides["right_only"]),
    }
    return [shared | column for column in columns or [{}]]


def merge_rows(old: pd.DataFrame, new: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """The rows of both side by side, columns suffixed _old and _new but for the keys.

    The column `side` is both, left_only or right_only.
    """
    return old.merge(new, on=keys, how="outer", suffixes=("_old", "_new"), indicator="side")


def _refuse_duplicates(side: str, frame: pd.DataFrame, keys: list[str]) -> None:
    duplicates = frame.loc[frame.duplicated(keys), keys]
    if len(duplicates):
        values = ", ".join(f"{name} {value}" for name, value in duplicates.iloc[0].items())
        raise DissectError(f"{side} has two rows with the same keys, {values}; keep one")


def _column(both: pd.DataFrame, name: str, keys: list[str], tolerance: float) -> Record | None:
    """How one column differs; None if it is equal everywhere."""
    old, new = both[f"{name}_old"], both[f"{name}_new"]
    is_number = is_numeric_dtype(old) and is_numeric_dtype(new)
    null_in_one = old.isna() ^ new.isna()
    equal = (old == new) | old.isna() | new.isna()
    if equal.all() and not null_in_one.any():
        return None
    # Texts that differ are 1 apart.
    apart = (new.astype(float) - old.astype(float)).abs() if is_number else 1.0
    distance = pd.Series(apart, old.index).mask(equal, 0.0)
    largest = distance.max()
    row = int((distance if largest > 0 else null_in_one).argmax())
    return {
        "column": name,
        "differ": int((null_in_one | (distance > (tolerance if is_number else 0))).sum()),
        "null_in_one": int(null_in_one.sum()),
        "largest": float(largest) if is_number and largest > 0 else np.nan,
        "old": None if pd.isna(old[row]) else old[row],
        "new": None if pd.isna(new[row]) else new[row],
        **both.loc[row, keys],
    }
