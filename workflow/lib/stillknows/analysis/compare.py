"""Two results folders, or archives of such: which sweeps, tables and provenance differ."""

import json
import tempfile
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from pandas.api.types import is_numeric_dtype

from stillknows.analysis.collect import PER_RUN
from stillknows.analysis.tables import SWEEP_KEYS
from stillknows.csv_files import read_csv
from stillknows.errors import StudyError, any_error_in_one_line, reason_of
from stillknows.files import sha256_of
from stillknows.parquet_files import metadata_of

IDENTICAL, WITHIN, DIFFERS = "identical", "within tolerance", "differs"
ONLY_OLD, ONLY_NEW = "only in OLD", "only in NEW"
ROW_KEYS = ["window", "layer", "first_layer", "last_layer", "question", "donor", "span"]
CLAIM_KEYS = ["id", "model", "origin", "method", "window", "span"]
LISTED = 20  # rows of a section of the printed comparison, at most; the CSV file has all
MANIFEST = "MANIFEST.sha256"  # in an archive: the sha256 of each of its files
# A sweep of a 32-layer model on ten questions takes about 70 kB; ten thousand, a third of this.
MOST_BYTES = 2 << 30

# A table's keys are those of these columns that it has.
_TABLE_KEYS = ["model", "origin", "method", "concept", "concept_name", "set", "experiment"]
_TABLE_KEYS += [*ROW_KEYS, "id", "versus", "score", "statistic", "component", "form", "layers"]
_COLLECTED, _SUFFIXES = "krs.parquet", (".csv", ".parquet")
# Not results, or what pandas and arrow note for themselves.
_NOT_PROVENANCE = PER_RUN | {"pandas", "ARROW:schema", "sweeps"}
_COUNTS = ["rows", "only_old", "only_new", "differ", "null_in_one", "largest"]
_COLUMNS = ["kind", "name", "status", "column", *_COUNTS, "old", "new"]
_VERDICT = [f"{name}_{side}" for side in ("old", "new") for name in ("verdict", "value", "n")]

Record = dict[str, Any]


# Of each sweep (model/method/concept/experiment) or table (its file's name): the file, and which of
# its row groups (None: all).
Source = tuple[Path, int | None]
Sources = dict[str, Source]


class Comparison(NamedTuple):
    """All that differs between two results folders.

    Attributes:
        differences: the records of `compare_frames`, with kind and name: of sweeps, tables, and
            where they come from (rows: in how many sweeps).
        flips: the claims whose verdict differs, with all else as ..._old and ..._new.
    """

    differences: pd.DataFrame
    flips: pd.DataFrame

    @property
    def is_equal(self) -> bool:
        """Whether all sweeps and tables are in both, and equal within the tolerance."""
        compared = self.differences[self.differences["kind"] != "provenance"]
        return bool(compared["status"].isin([IDENTICAL, WITHIN]).all())


def compare_results(old: Path, new: Path, tolerance: float = 0.0) -> Comparison:
    """Compare two results folders or archives; a StudyError if one cannot be read or matched."""
    if old.exists() and new.exists() and old.samefile(new):
        raise StudyError(f"OLD and NEW are both {old}: give two results folders, or archives")
    _sweep_rows.cache_clear()
    with _results_folder(old) as before, _results_folder(new) as after:
        sweeps = _sweeps(before, old), _sweeps(after, new)
        tables = before / "tables", after / "tables"
        parts = {
            "sweep": _compare_rows(*sweeps, ROW_KEYS, tolerance),
            "table": _compare_tables(*tables, tolerance),
            "provenance": _compare_provenance(*map(_provenance, sweeps)),
        }
        records = [{"kind": kind, **record} for kind, part in parts.items() for record in part]
        flips = _flips(*(folder / "claims.csv" for folder in tables))
    differences = pd.DataFrame(records)
    keys = [name for name in differences.columns if name not in (*_COLUMNS, "note")]
    return Comparison(differences.reindex(columns=[*_COLUMNS, *keys, "note"]), flips)


def _compare_rows(
    old: Mapping[str, Source], new: Mapping[str, Source], keys: list[str], tolerance: float
) -> Iterator[Record]:
    for name in sorted({*old, *new}):
        if name not in old or name not in new:
            yield {"name": name, "status": ONLY_OLD if name in old else ONLY_NEW}
            continue
        before, after = _read(name, old[name]), _read(name, new[name])
        try:
            records = compare_frames(before, after, keys, tolerance)
        except (TypeError, ValueError) as error:
            raise StudyError(f"{name} cannot be compared: {reason_of(error)}") from error
        yield from ({"name": name, **record} for record in records)


def _compare_tables(old: Path, new: Path, tolerance: float) -> Iterator[Record]:
    before, after = (
        {path.name: (path, None) for path in folder.glob("*") if path.suffix in _SUFFIXES}
        for folder in (old, new)
    )
    # Compared sweep by sweep: it may have been changed since the sweeps' own files.
    collected = [files.pop(_COLLECTED) for files in (before, after) if _COLLECTED in files]
    for files in (before, after):
        files.pop("resources.csv", None)  # what a job took is no result
    yield from _compare_rows(before, after, _TABLE_KEYS, tolerance)
    if len(collected) == 2:
        old_sweeps, new_sweeps = (_sweeps_in_table(path) for path, _ in collected)
        records = _compare_rows(old_sweeps, new_sweeps, ROW_KEYS, tolerance)
        status = {record["name"]: record["status"] for record in records}
        differing = [name for name in status if status[name] not in (IDENTICAL, WITHIN)]
        note = ", ".join([f"{len(differing)} of {len(status)} sweeps differ", *differing[:1]])
        worst = DIFFERS if differing else WITHIN if WITHIN in status.values() else IDENTICAL
        yield {"name": _COLLECTED, "status": worst, "note": note}


def _compare_provenance(
    old: Mapping[str, Mapping[str, str]], new: Mapping[str, Mapping[str, str]]
) -> Iterator[Record]:
    counts = Counter(
        (key, old[name].get(key, ""), new[name].get(key, ""))
        for name in old.keys() & new.keys()
        for key in old[name].keys() | new[name].keys()
    )
    for (key, before, after), sweeps in sorted(counts.items()):
        if before != after:
            yield {"name": key, "status": DIFFERS, "rows": sweeps, "old": before, "new": after}


def _flips(old: Path, new: Path) -> pd.DataFrame:
    """The claims whose verdict differs; none where a table or its columns are missing."""
    if not (old.exists() and new.exists()):
        return pd.DataFrame()
    before, after = _read(old.name, (old, None)), _read(new.name, (new, None))
    if not {*CLAIM_KEYS, "verdict"} <= {*before.columns} & {*after.columns}:
        return pd.DataFrame()
    pairs = before.merge(after, on=CLAIM_KEYS, suffixes=("_old", "_new"))
    return pairs[pairs["verdict_old"] != pairs["verdict_new"]]


def compare_frames(
    old: pd.DataFrame, new: pd.DataFrame, possible_keys: list[str], tolerance: float
) -> list[Record]:
    """Compare two tables' rows, column by column; two nulls are equal, a null and a value never.

    Args:
        possible_keys: those that both have identify a row; if they do not, the tables are compared
            as a whole.

    Returns:
        a record per column that differs, or one if none does: status, rows (in both), only_old,
        only_new; differ (rows beyond the tolerance or null on one side), null_in_one, largest
        (|NEW - OLD|), and the keys and values of the row that has it.
    """
    shared = [name for name in old.columns if name in new.columns]
    keys = [name for name in possible_keys if name in shared]
    if old.equals(new):  # as nearly all are, and faster than row by row
        return [{"status": IDENTICAL, "rows": len(old), "only_old": 0, "only_new": 0}]
    if not keys or old.duplicated(keys).any() or new.duplicated(keys).any():
        return [{"status": DIFFERS, "note": "compared as a whole: no columns identify its rows"}]
    merged = old[shared].merge(
        new[shared], on=keys, how="outer", suffixes=("_old", "_new"), indicator="side"
    )
    both = merged[merged["side"] == "both"].reset_index(drop=True)
    columns = [{"column": name, "note": ONLY_OLD} for name in old.columns.difference(shared)]
    columns += [{"column": name, "note": ONLY_NEW} for name in new.columns.difference(shared)]
    values = [name for name in shared if name not in keys]
    columns += [record for name in values if (record := _column(both, name, keys, tolerance))]
    differs = len(both) < len(merged) or any(column.get("differ", 1) for column in columns)
    rows = {
        "status": DIFFERS if differs else WITHIN if columns else IDENTICAL,
        "rows": len(both),
        "only_old": int((merged["side"] == "left_only").sum()),
        "only_new": int((merged["side"] == "right_only").sum()),
    }
    return [rows | column for column in columns or [{}]]


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


def _sweeps(folder: Path, shown: Path) -> Sources:
    """The sweeps of a results folder: in files of their own, or else in tables/krs.parquet."""
    collected = folder / "tables" / _COLLECTED
    if files := sorted((folder / "krs").glob("*/*/*/*.parquet")):
        return {"/".join((*path.parts[-4:-1], path.stem)): (path, None) for path in files}
    if collected.exists():
        return _sweeps_in_table(collected)
    raise StudyError(
        f"{shown} holds no results: no krs/MODEL/METHOD/CONCEPT/EXPERIMENT.parquet and no "
        "tables/krs.parquet; name a results folder"
    )


def _sweeps_in_table(path: Path) -> Sources:
    with _readable(path):
        groups = range(pq.ParquetFile(path).num_row_groups)
        return {name: (path, group) for group in groups for name in _sweep_rows(path, group)}


def _provenance(sweeps: Sources) -> dict[str, dict[str, str]]:
    metadata, differing, provenance = {}, {}, {}
    for name, (path, _) in sweeps.items():
        with _readable(path):
            if path not in metadata:
                metadata[path] = metadata_of(pq.read_schema(path))
                differing[path] = json.loads(metadata[path].get("sweeps", "{}"))
            fields = metadata[path] | differing[path].get(name, {})
            packages = json.loads(fields.pop("packages", "{}"))
            fields |= {f"packages.{package}": version for package, version in packages.items()}
            provenance[name] = {key: fields[key] for key in fields.keys() - _NOT_PROVENANCE}
    return provenance


def _read(name: str, source: Source) -> pd.DataFrame:
    path, group = source
    with _readable(path):
        if "/" in name:
            return _sweep_rows(path, group)[name]
        return read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)


@lru_cache(maxsize=4)  # a group holds many sweeps, which are read one after the other
def _sweep_rows(path: Path, group: int | None) -> dict[str, pd.DataFrame]:
    file = pq.ParquetFile(path)
    groups = range(file.num_row_groups) if group is None else [group]
    table = file.read_row_groups(groups, use_threads=False)
    rows = table.replace_schema_metadata(None).to_pandas()
    # Categories differ with the rows that are there.
    rows = rows.astype(dict.fromkeys(rows.select_dtypes("category"), object))
    return {
        "/".join(key): sweep.drop(columns=SWEEP_KEYS).reset_index(drop=True)
        for key, sweep in rows.groupby(SWEEP_KEYS, dropna=False)
    }


def _readable(path: Path) -> AbstractContextManager[None]:
    """One line for whatever is wrong with a file; each library raises errors of its own."""
    return any_error_in_one_line(
        f"{path} cannot be read ({{reason}}); give results or an archive of this workflow, or make "
        "or copy it again"
    )


@contextmanager
def _results_folder(path: Path) -> Iterator[Path]:
    """A results folder: `path` itself, or what is in an archive of one, while the block lasts."""
    if path.is_dir():
        next(path.iterdir(), None)  # a folder without permission to read would look empty
        yield path
    elif path.is_file():
        with tempfile.TemporaryDirectory() as folder:
            with _readable(path):
                _unpack(path, Path(folder))
            try:
                yield Path(folder)
            except StudyError as error:
                raise StudyError(str(error).replace(f"{folder}/", f"{path}: ")) from error
    else:
        problem = "is neither a folder nor a file" if path.exists() else "does not exist"
        raise StudyError(f"{path} {problem}; give a results folder, or the archive of one")


def _unpack(path: Path, folder: Path) -> None:
    """Unpack tables/ and krs/ of an archive, and compare them with its MANIFEST.sha256, if any."""
    with zipfile.ZipFile(path) as archive:
        read = ("tables/", "krs/", MANIFEST)
        members = [member for member in archive.infolist() if member.filename.startswith(read)]
        if (size := sum(member.file_size for member in members)) > MOST_BYTES:
            raise StudyError(
                f"{path} unpacks to {size / 1e9:.1f} GB of tables; at most {MOST_BYTES / 1e9:.1f} "
                "GB are unpacked for a comparison: if you trust it, unpack it and give the folder"
            )
        archive.extractall(folder, members)
    if not (folder / MANIFEST).exists():
        return
    lines = (folder / MANIFEST).read_text(encoding="utf-8").splitlines()
    listed = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    for file in folder.glob("*/**/*"):
        name = file.relative_to(folder).as_posix()
        if file.is_file() and sha256_of(file) != listed.get(name):
            raise StudyError(
                f"{path}: {name} does not have the sha256 that {MANIFEST} gives: it was changed "
                "after the archive was made; get the archive again"
            )


# What is printed.


def as_text(comparison: Comparison, old: str, new: str, tolerance: float) -> str:
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
    titles = pd.DataFrame([rows.columns.str.replace("_", " ")], columns=rows.columns)
    texts = pd.concat([titles, rows.head(LISTED)]).map(_value)
    padded = texts.apply(lambda column: column.str.ljust(column.str.len().max()))
    lines = ["  ".join(["", *row]).rstrip() for row in padded.to_numpy()]
    if len(rows) > LISTED:
        lines.append(f"  ... and {len(rows) - LISTED} more: --csv FILE has all")
    return "\n".join(lines)


def _by_column(sweeps: pd.DataFrame) -> pd.DataFrame:
    """Per column: in how many sweeps and rows it differs, and where most."""
    columns = sweeps[sweeps["differ"].notna()].groupby("column", sort=False)
    sums = columns[["differ", "null_in_one"]].sum().assign(sweeps=columns.size())
    where = sweeps.reindex(columns=["column", "largest", "old", "new", "name", *ROW_KEYS])
    return sums.merge(where.drop_duplicates("column"), on="column")


def _value(value: Any) -> str:
    if pd.isna(value):
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)
