"""The comparison of two results folders: cells, provenance, tables."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import pyarrow as pa

from dissect.compare.folders import (
    ROW_KEYS,
    CellFiles,
    Cells,
    CollectedCells,
    open_cells,
    read_table,
    results_folder,
)
from dissect.compare.frames import (
    DIFFERS,
    IDENTICAL,
    ONLY_NEW,
    ONLY_OLD,
    WITHIN,
    Difference,
    compare_frames,
)
from dissect.errors import DissectError
from dissect.results.collect import CELL

# A table's keys are those of these columns that it has; claims are known by their ids.
_NAMES = ["model", "origin", "method", "concept", "concept_name", "set", "experiment", "versus"]
_ROW_KEYS = ["window", "span", "donor", "layer", "first_layer", "last_layer", "question"]
_TABLE_KEYS = [*_NAMES, *_ROW_KEYS, "score", "statistic", "component"]
CLAIMS = "claims.csv"
_CLAIM_KEYS = ["id", "model", "origin", "window", "span"]
_VERDICT = ["verdict", "value", "low", "high", "n"]
COLLECTED = "krs.parquet"
# The first is compared sweep by sweep; what a job took is no result.
_OTHER_TABLES = {COLLECTED, "resources.csv"}


@dataclass(frozen=True)
class Compared:
    """One cell or table. `difference` is None if it is in one only, or has no keys (see note)."""

    name: str
    status: str
    difference: Difference | None = None
    note: str = ""


@dataclass(frozen=True)
class Comparison:
    """All that differs between two results folders.

    Attributes:
        provenance: key, old, new, cells (how many differ in that way, of those in both).
        flips: the claims whose verdict differs: their keys, and all else as ..._old and ..._new.
    """

    cells: list[Compared]
    tables: list[Compared]
    provenance: pd.DataFrame
    flips: pd.DataFrame = field(default_factory=pd.DataFrame)

    @property
    def is_equal(self) -> bool:
        """Whether all that can be compared is, and is equal within the tolerance."""
        return not any(
            one.status in (DIFFERS, ONLY_OLD, ONLY_NEW) for one in [*self.cells, *self.tables]
        )


def compare_results(old: Path, new: Path, tolerance: float = 0.0) -> Comparison:
    """Compare two results folders, or archives of such.

    Raises:
        DissectError: if one holds no results, if something in it cannot be read or matched, or if
            both are the same.
    """
    if old.exists() and new.exists() and old.samefile(new):
        raise DissectError(f"OLD and NEW are both {old}: give two results folders, or archives")
    with results_folder(old) as before, results_folder(new) as after:
        cells = open_cells(before, old), open_cells(after, new)
        return _compare(*cells, before / "tables", after / "tables", tolerance)


def _compare(
    before: Cells, after: Cells, old_tables: Path, new_tables: Path, tolerance: float
) -> Comparison:
    tables = list(_compare_tables(old_tables, new_tables, tolerance))
    if isinstance(before, CellFiles) or isinstance(after, CellFiles):
        tables += _compare_collected(old_tables / COLLECTED, new_tables / COLLECTED, tolerance)
    return Comparison(
        cells=list(_compare_cells(before, after, tolerance)),
        tables=tables,
        provenance=_compare_provenance(before, after),
        flips=_flips(tables),
    )


def _sides(old: Iterable[str], new: Iterable[str]) -> Iterable[tuple[str, str]]:
    """Each name once, sorted, and where it is: ONLY_OLD, ONLY_NEW or "" for both."""
    before, after = set(old), set(new)
    for name in sorted(before | after):
        yield name, "" if name in before & after else ONLY_OLD if name in before else ONLY_NEW


def _compare_cells(old: Cells, new: Cells, tolerance: float) -> Iterable[Compared]:
    for name, alone in _sides(old.names, new.names):
        if alone:
            yield Compared(name, alone)
            continue
        before, after = old.rows(name), new.rows(name)
        if before.equals(after):
            difference = Difference(rows=before.num_rows)
        else:
            difference = _named(name, _plain(before), _plain(after), ROW_KEYS, tolerance)
        yield Compared(name, difference.status, difference)


def _plain(table: pa.Table) -> pd.DataFrame:
    """Without categories, which differ with the rows that are there, and without a cell's name."""
    frame: pd.DataFrame = table.to_pandas()
    texts = [name for name, kind in frame.dtypes.items() if isinstance(kind, pd.CategoricalDtype)]
    return frame.astype(dict.fromkeys(texts, object)).drop(columns=CELL)


def _named(
    name: str, old: pd.DataFrame, new: pd.DataFrame, keys: list[str], tolerance: float
) -> Difference:
    try:
        return compare_frames(old, new, keys, tolerance)
    except DissectError as error:
        raise DissectError(f"{name}: {error}") from error
    except (TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise DissectError(f"{name} cannot be compared: {reason}") from error


def _compare_collected(old: Path, new: Path, tolerance: float) -> Iterable[Compared]:
    """The collected tables of both, which may have been changed since their sweeps' own files."""
    if not (old.exists() and new.exists()):
        return
    parts = list(_compare_cells(CollectedCells(old), CollectedCells(new), tolerance))
    differing = [one.name for one in parts if one.status not in (IDENTICAL, WITHIN)]
    if differing:
        note = f"{len(differing)} of {len(parts)} sweeps differ, the first is {differing[0]}"
        yield Compared(COLLECTED, DIFFERS, None, note)
        return
    is_identical = all(one.status == IDENTICAL for one in parts)
    yield Compared(COLLECTED, IDENTICAL if is_identical else WITHIN, None, f"{len(parts)} sweeps")


def _compare_provenance(old: Cells, new: Cells) -> pd.DataFrame:
    counts: dict[tuple[str, str, str], int] = {}
    for name in sorted(set(old.names) & set(new.names)):
        before, after = old.provenance(name), new.provenance(name)
        for key in sorted(before.keys() | after.keys()):
            pair = before.get(key, ""), after.get(key, "")
            if pair[0] != pair[1]:
                counts[key, *pair] = counts.get((key, *pair), 0) + 1
    rows = [(*key_and_values, cells) for key_and_values, cells in sorted(counts.items())]
    return pd.DataFrame(rows, columns=["key", "old", "new", "cells"])


def _compare_tables(old: Path, new: Path, tolerance: float) -> Iterable[Compared]:
    for name, alone in _sides(_table_names(old), _table_names(new)):
        if alone:
            yield Compared(name, alone)
            continue
        before, after = read_table(old / name), read_table(new / name)
        keys = _CLAIM_KEYS
        if name != CLAIMS:
            keys = [key for key in _TABLE_KEYS if key in before and key in after]
        if not keys or any(frame.duplicated(keys).any() for frame in (before, after)):
            status = IDENTICAL if before.equals(after) else DIFFERS
            yield Compared(name, status, None, "compared as a whole: its rows have no keys")
            continue
        difference = _named(name, before, after, keys, tolerance)
        yield Compared(name, difference.status, difference)


def _table_names(folder: Path) -> list[str]:
    files = [file.name for kind in ("*.csv", "*.parquet") for file in folder.glob(kind)]
    return [name for name in files if name not in _OTHER_TABLES]


def _flips(tables: list[Compared]) -> pd.DataFrame:
    for table in tables:
        if table.name == CLAIMS and table.difference is not None:
            pairs = table.difference.pairs
            missing = [column for column in _VERDICT if f"{column}_old" not in pairs]
            if missing:
                raise DissectError(f"{CLAIMS} has no column {', '.join(missing)} in OLD or NEW")
            return pairs[pairs["verdict_old"] != pairs["verdict_new"]].reset_index(drop=True)
    return pd.DataFrame()
