"""The comparison of two results folders: sweeps, provenance, tables."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa

from dissect.analysis.collect import SWEEP_KEYS
from dissect.compare.folders import (
    ROW_KEYS,
    Sweeps,
    open_sweeps,
    read_sweep,
    read_table,
    results_folder,
    sweeps_in_table,
)
from dissect.compare.frames import (
    DIFFERS,
    IDENTICAL,
    ONLY_NEW,
    ONLY_OLD,
    WITHIN,
    Record,
    compare_frames,
    merge_rows,
)
from dissect.errors import DissectError

# A table's keys are those of these columns that it has; claims are known by their ids.
_NAMES = ["model", "origin", "method", "concept", "concept_name", "set", "experiment", "versus"]
_TABLE_KEYS = [*_NAMES, *ROW_KEYS, "score", "statistic", "component", "form", "layers"]
CLAIMS, COLLECTED = "claims.csv", "krs.parquet"
_CLAIM_KEYS = ["id", "model", "origin", "method", "window", "span"]
_VERDICT = ["verdict", "value", "low", "high", "n"]
# The first is compared sweep by sweep; what a job took is no result.
_OTHER_TABLES = {COLLECTED, "resources.csv"}
_COLUMNS = ["kind", "name", "status", "column", "rows", "only_old", "only_new"]
_COLUMNS += ["differ", "null_in_one", "largest", "old", "new"]


@dataclass(frozen=True)
class Comparison:
    """All that differs between two results folders.

    Attributes:
        differences: what `compare_frames` returns, with kind and name: of each sweep and table,
            a row per column that differs, or one row; and a row per provenance key and pair of
            values (rows: in how many sweeps). note is for people.
        flips: the claims whose verdict differs: their keys, and all else as ..._old and ..._new.
    """

    differences: pd.DataFrame
    flips: pd.DataFrame

    @property
    def is_equal(self) -> bool:
        """Whether all sweeps and tables are in both, and equal within the tolerance."""
        compared = self.differences[self.differences["kind"] != "provenance"]
        return bool(compared["status"].isin([IDENTICAL, WITHIN]).all())


def compare_results(old: Path, new: Path, tolerance: float = 0.0) -> Comparison:
    """Compare two results folders, or archives of such.

    Raises:
        DissectError: if one holds no results, if something in it cannot be read or matched, or if
            both are the same.
    """
    if old.exists() and new.exists() and old.samefile(new):
        raise DissectError(f"OLD and NEW are both {old}: give two results folders, or archives")
    with results_folder(old) as before, results_folder(new) as after:
        sweeps = open_sweeps(before, old), open_sweeps(after, new)
        tables = before / "tables", after / "tables"
        compared_tables = list(_compare_tables(*tables, tolerance))
        if any(sweep.group is None for side in sweeps for sweep in side.values()):
            collected = tables[0] / COLLECTED, tables[1] / COLLECTED
            compared_tables += _compare_collected(*collected, tolerance)
        parts = {
            "sweep": _compare_sweeps(*sweeps, tolerance),
            "table": compared_tables,
            "provenance": _compare_provenance(*sweeps),
        }
        records = [{"kind": kind, **one} for kind, part in parts.items() for one in part]
        flips = _flips(tables[0] / CLAIMS, tables[1] / CLAIMS)
    differences = pd.DataFrame(records)
    others = [name for name in differences.columns if name not in (*_COLUMNS, "note")]
    return Comparison(differences.reindex(columns=[*_COLUMNS, *others, "note"]), flips)


def _compare_each(
    old: Iterable[str], new: Iterable[str], compare: Callable[[str], list[Record]]
) -> Iterator[Record]:
    """What `compare` returns of each name in both, and one record of each name in one only."""
    before, after = set(old), set(new)
    for name in sorted(before | after):
        records: list[Record] = [{"status": ONLY_OLD if name in before else ONLY_NEW}]
        if name in before & after:
            try:
                records = compare(name)
            except (DissectError, TypeError, ValueError) as error:
                raise DissectError(f"{name} cannot be compared: {error}") from error
        yield from ({"name": name, **record} for record in records)


def _compare_sweeps(old: Sweeps, new: Sweeps, tolerance: float) -> Iterator[Record]:
    def compare(name: str) -> list[Record]:
        before, after = read_sweep(name, old[name]), read_sweep(name, new[name])
        if before.equals(after):  # as nearly all are, and faster than row by row
            rows = before.num_rows
            return [{"status": IDENTICAL, "rows": rows, "only_old": 0, "only_new": 0}]
        return compare_frames(_plain(before), _plain(after), ROW_KEYS, tolerance)

    return _compare_each(old, new, compare)


def _plain(table: pa.Table) -> pd.DataFrame:
    """Without categories, which differ with the rows that are there, and without a sweep's name."""
    frame: pd.DataFrame = table.drop_columns(SWEEP_KEYS).to_pandas()
    return frame.astype(dict.fromkeys(frame.select_dtypes("category"), object))


def _compare_tables(old: Path, new: Path, tolerance: float) -> Iterator[Record]:
    def compare(name: str) -> list[Record]:
        before, after = read_table(old / name), read_table(new / name)
        possible = _CLAIM_KEYS if name == CLAIMS else _TABLE_KEYS
        keys = [key for key in possible if key in before and key in after]
        if keys and not any(frame.duplicated(keys).any() for frame in (before, after)):
            return compare_frames(before, after, keys, tolerance)
        status = IDENTICAL if before.equals(after) else DIFFERS
        return [{"status": status, "note": "compared as a whole: no columns identify its rows"}]

    return _compare_each(_table_names(old), _table_names(new), compare)


def _table_names(folder: Path) -> list[str]:
    files = [file.name for kind in ("*.csv", "*.parquet") for file in folder.glob(kind)]
    return [name for name in files if name not in _OTHER_TABLES]


def _compare_collected(old: Path, new: Path, tolerance: float) -> Iterator[Record]:
    """The tables of all sweeps, which may have been changed since the sweeps' own files."""
    if not (old.exists() and new.exists()):
        return
    records = _compare_sweeps(sweeps_in_table(old), sweeps_in_table(new), tolerance)
    status = {record["name"]: record["status"] for record in records}
    differing = [name for name in status if status[name] not in (IDENTICAL, WITHIN)]
    note = f"{len(status)} sweeps"
    if differing:
        note = f"{len(differing)} of {len(status)} sweeps differ, the first is {differing[0]}"
    worst = DIFFERS if differing else WITHIN if WITHIN in status.values() else IDENTICAL
    yield {"name": COLLECTED, "status": worst, "note": note}


def _compare_provenance(old: Sweeps, new: Sweeps) -> Iterator[Record]:
    counts: Counter[tuple[str, str, str]] = Counter()
    for name in old.keys() & new.keys():
        before, after = old[name].provenance, new[name].provenance
        pairs = {key: (before.get(key, ""), after.get(key, "")) for key in before | after}
        counts.update((key, *pair) for key, pair in pairs.items() if pair[0] != pair[1])
    for (key, old_value, new_value), sweeps in sorted(counts.items()):
        values = {"rows": sweeps, "old": old_value, "new": new_value}
        yield {"name": key, "status": DIFFERS, **values}


def _flips(old: Path, new: Path) -> pd.DataFrame:
    if not (old.exists() and new.exists()):
        return pd.DataFrame()
    before, after = read_table(old), read_table(new)
    missing = [name for name in (*_CLAIM_KEYS, *_VERDICT) if not (name in before and name in after)]
    if missing:
        raise DissectError(f"{CLAIMS} has no column {', '.join(missing)} in OLD or NEW")
    pairs = merge_rows(before, after, _CLAIM_KEYS).query("side == 'both'")
    return pairs[pairs["verdict_old"] != pairs["verdict_new"]].reset_index(drop=True)
