"""Two tables of the same kind, row by row: what is in one only, what differs, where most."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from dissect.errors import DissectError

IDENTICAL, WITHIN, DIFFERS = "identical", "within tolerance", "differs"
ONLY_OLD, ONLY_NEW = "only in OLD", "only in NEW"

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class ColumnDifference:
    """One column in which rows differ.

    Attributes:
        rows: how many differ by more than the tolerance; a null beside a value always does.
        null_in_one: how many of these have a value on one side only.
        largest: the largest |NEW - OLD| where both sides have numbers; NaN for text, and where
            there is no such row.
        row_keys: the keys of that row, or of the first that differs.
        old, new: its values; None is null.
    """

    column: str
    rows: int
    null_in_one: int
    largest: float
    row_keys: dict[str, Any]
    old: Any
    new: Any


@dataclass(frozen=True)
class Difference:
    """What differs between two tables.

    Attributes:
        rows: how many stand in both.
        only_old, only_new: how many rows, and which columns, stand in one only.
        columns: those that are not exactly equal.
        pairs: the rows of both, columns suffixed _old and _new but for the keys.
    """

    rows: int
    only_old: int = 0
    only_new: int = 0
    columns_only_old: tuple[str, ...] = ()
    columns_only_new: tuple[str, ...] = ()
    columns: tuple[ColumnDifference, ...] = ()
    pairs: pd.DataFrame = field(default_factory=pd.DataFrame, repr=False, compare=False)

    @property
    def status(self) -> str:
        """IDENTICAL, WITHIN or DIFFERS."""
        alone = (self.only_old, self.only_new, self.columns_only_old, self.columns_only_new)
        if any(alone) or any(one.rows for one in self.columns):
            return DIFFERS
        return WITHIN if self.columns else IDENTICAL


def compare_frames(
    old: pd.DataFrame, new: pd.DataFrame, keys: Sequence[str], tolerance: float
) -> Difference:
    """Compare the rows that have the same keys, column by column.

    Two nulls are equal, a null and a value never are. Infinities are equal to themselves.

    Raises:
        DissectError: if a key column is missing, or two rows of one table have the same keys.
    """
    sides = {"OLD": old, "NEW": new}
    for side, frame in sides.items():
        _check_keys(side, frame, keys)
    values = [name for name in old.columns if name not in keys and name in new.columns]
    both, only_old, only_new = _paired(old, new, list(keys), values)
    columns = [_column(both, name, list(keys), tolerance) for name in values]
    return Difference(
        rows=len(both),
        only_old=only_old,
        only_new=only_new,
        columns_only_old=tuple(name for name in old.columns if name not in new.columns),
        columns_only_new=tuple(name for name in new.columns if name not in old.columns),
        columns=tuple(one for one in columns if one is not None),
        pairs=both,
    )


def _check_keys(side: str, frame: pd.DataFrame, keys: Sequence[str]) -> None:
    missing = [name for name in keys if name not in frame.columns]
    if missing:
        raise DissectError(f"{side} has no column {', '.join(missing)}, so rows cannot be matched")
    if frame.duplicated(list(keys)).any():
        twice = frame.loc[frame.duplicated(list(keys)), list(keys)].iloc[0].to_dict()
        raise DissectError(f"{side} has two rows with the same keys, {_words(twice)}")


def _words(keys: Mapping[Any, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in keys.items())


def _paired(
    old: pd.DataFrame, new: pd.DataFrame, keys: list[str], values: list[str]
) -> tuple[pd.DataFrame, int, int]:
    """The rows of both side by side; how many stand in one only."""
    old, new = _same_kinds(old, new, keys)
    merged = old[keys + values].merge(
        new[keys + values], on=keys, how="outer", suffixes=("_old", "_new"), indicator="side"
    )
    counts = merged["side"].value_counts()
    both = merged[merged["side"] == "both"].drop(columns="side").reset_index(drop=True)
    return both, int(counts["left_only"]), int(counts["right_only"])


def _same_kinds(
    old: pd.DataFrame, new: pd.DataFrame, keys: Sequence[str]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Keys that are text on one side only, such as beside nulls alone, as plain objects."""
    is_number = pd.api.types.is_numeric_dtype
    mixed = [key for key in keys if is_number(old[key]) != is_number(new[key])]
    kinds = dict.fromkeys(mixed, object)
    return old.astype(kinds), new.astype(kinds)


def _column(
    both: pd.DataFrame, name: str, keys: list[str], tolerance: float
) -> ColumnDifference | None:
    """How one column differs; None if it is equal everywhere."""
    old, new = both[f"{name}_old"], both[f"{name}_new"]
    nulls: Mask = (old.isna() ^ new.isna()).to_numpy()
    size = _sizes(old, new)
    if not (nulls | (size != 0)).any():
        return None
    # Where a number differs most; else the first null, or the first other text.
    numbers = np.where(nulls, -1.0, size)
    row = int(numbers.argmax()) if numbers.max() > 0 else int(nulls.argmax())
    is_number = pd.api.types.is_numeric_dtype(old) and pd.api.types.is_numeric_dtype(new)
    return ColumnDifference(
        column=name,
        rows=int((nulls | (size > (tolerance if is_number else 0))).sum()),
        null_in_one=int(nulls.sum()),
        largest=float(numbers.max()) if is_number and numbers.max() > 0 else np.nan,
        row_keys={key: both[key].iloc[row] for key in keys},
        old=_value(old.iloc[row]),
        new=_value(new.iloc[row]),
    )


def _sizes(old: pd.Series, new: pd.Series) -> npt.NDArray[np.float64]:
    """|new - old| of numbers, 1 for texts that differ; 0 where equal or where one is null."""
    equal = ((old == new) | old.isna() | new.isna()).to_numpy(bool)
    if not (pd.api.types.is_numeric_dtype(old) and pd.api.types.is_numeric_dtype(new)):
        return np.where(equal, 0.0, 1.0)
    with np.errstate(invalid="ignore"):
        size = np.abs(new.to_numpy(float) - old.to_numpy(float))
    return np.where(equal, 0.0, size)


def _value(value: Any) -> Any:
    return None if pd.isna(value) else value
