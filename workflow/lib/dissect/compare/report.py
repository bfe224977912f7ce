"""A comparison in words for people, and as a table for machines."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd

from dissect.compare.compare import Compared, Comparison
from dissect.compare.frames import DIFFERS, IDENTICAL, ONLY_NEW, ONLY_OLD, WITHIN, ColumnDifference

LISTED = 20  # cells, at most; the CSV file has all
_STATUSES = (IDENTICAL, WITHIN, DIFFERS, ONLY_OLD, ONLY_NEW)
_HEAD = ["kind", "name", "status", "column", "rows", "only_old", "only_new"]
_FOUND = ["differ", "null_in_one", "largest", "old", "new"]


def as_text(comparison: Comparison, old: str, new: str, tolerance: float) -> str:
    """The whole comparison, in aligned columns."""
    exact = f"|NEW - OLD| up to {tolerance:g} counts as equal" if tolerance else "exact values"
    sections = [
        f"OLD  {old}\nNEW  {new}\n{exact}",
        _section("Cells", _counts(comparison.cells)),
        _section("Only in one", _alone(comparison.cells)),
        _section("Largest differences of the cells in both", _measures(comparison.cells)),
        _section("Cells that differ", _cells(comparison.cells)),
        _section("Provenance of the cells in both", _provenance(comparison.provenance)),
        _section("Tables", _tables(comparison.tables)),
        _section("Verdicts that differ", _flips(comparison.flips)),
        "equal" if comparison.is_equal else "not equal",
    ]
    return "\n\n".join(section for section in sections if section)


def as_table(comparison: Comparison) -> pd.DataFrame:
    """One row per cell or table and column that differs, one for each that does not, and one per
    provenance key and pair of values (rows: in how many cells).
    """
    rows = [*_records("cell", comparison.cells), *_records("table", comparison.tables)]
    for key, old, new, cells in comparison.provenance.itertuples(index=False):
        values = {"rows": cells, "old": old, "new": new}
        rows.append({"kind": "provenance", "name": key, "status": DIFFERS, **values})
    frame = pd.DataFrame(rows)
    keys = [name for name in frame.columns if name not in (*_HEAD, *_FOUND)]
    return frame.reindex(columns=[*_HEAD, *_FOUND, *keys])


def _records(kind: str, parts: Iterable[Compared]) -> Iterable[dict[str, Any]]:
    for one in parts:
        base: dict[str, Any] = {"kind": kind, "name": one.name, "status": one.status}
        difference = one.difference
        if difference is None:
            yield base
            continue
        base |= {
            "rows": difference.rows,
            "only_old": difference.only_old,
            "only_new": difference.only_new,
        }
        for column in difference.columns:
            values = {name: getattr(column, name) for name in _FOUND if name != "differ"}
            yield {
                **base,
                "column": column.column,
                "differ": column.rows,
                **values,
                **column.row_keys,
            }
        if not difference.columns:
            yield base


def _section(title: str, rows: Sequence[Sequence[str]]) -> str:
    """A title and its rows in aligned columns; "" without rows."""
    if not rows:
        return ""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    return "\n".join([title, *(f"  {line}" for line in lines)])


def _counts(parts: Sequence[Compared]) -> list[list[str]]:
    seen = Counter(one.status for one in parts)
    return [[status, str(seen[status])] for status in _STATUSES if seen[status]]


def _alone(cells: Sequence[Compared]) -> list[list[str]]:
    rows = [[one.name, one.status] for one in cells if one.status in (ONLY_OLD, ONLY_NEW)]
    return _cut(rows, 2)


def _cut(rows: list[list[str]], columns: int) -> list[list[str]]:
    more = len(rows) - LISTED
    rest = [f"... and {more} more: --csv FILE has all", *[""] * (columns - 1)]
    return [*rows[:LISTED], rest] if more > 0 else rows


def _measures(cells: Sequence[Compared]) -> list[list[str]]:
    """Per column of the cells: in how many cells and rows it differs, and where most."""
    by_column: dict[str, list[tuple[str, ColumnDifference]]] = {}
    for one in cells:
        for column in one.difference.columns if one.difference else ():
            by_column.setdefault(column.column, []).append((one.name, column))
    rows = []
    for measure, differences in by_column.items():
        cell, most = max(differences, key=lambda item: _rank(item[1]))
        rows.append(
            [
                measure,
                str(sum(column.rows > 0 for _, column in differences)),
                str(sum(column.rows for _, column in differences)),
                str(sum(column.null_in_one for _, column in differences)),
                _number(most.largest),
                f"{_shown(most.old)} -> {_shown(most.new)}",
                f"{cell}: {_where(most.row_keys)}",
            ]
        )
    head = ["column", "cells", "rows", "null in one", "largest", "OLD -> NEW", "where"]
    return [head, *rows] if rows else []


def _rank(column: ColumnDifference) -> float:
    return -1.0 if pd.isna(column.largest) else column.largest


def _where(keys: dict[str, Any]) -> str:
    """The keys of a row: texts as they are, numbers with their names; windows by their layer."""
    return ", ".join(
        str(value) if isinstance(value, str) else f"{name} {value}"
        for name, value in keys.items()
        if not pd.isna(value) and name not in ("first_layer", "last_layer")
    )


def _cells(cells: Sequence[Compared]) -> list[list[str]]:
    differ = [(one.name, one.difference) for one in cells if one.difference]
    differ = [pair for pair in differ if pair[1].status == DIFFERS]
    differ.sort(key=lambda pair: -max(map(_rank, pair[1].columns), default=0.0))
    rows = []
    for name, difference in differ:
        largest = {column.column: _number(column.largest) for column in difference.columns}
        alone = f"{difference.only_old} / {difference.only_new}"
        rows.append([name, str(difference.rows), alone, *(largest.get(c, "0") for c in _SHOWN)])
    head = ["cell", "rows", "only OLD / NEW", *_SHOWN]
    return [head, *_cut(rows, len(head))] if rows else []


_SHOWN = ("krs", "loss_unlearned", "loss_patched", "kl_patched", "top1_patched")


def _provenance(differences: pd.DataFrame) -> list[list[str]]:
    """Each key with its values; keys of many different pairs, such as hashes, in one row."""
    if differences.empty:
        return [["the same"]]
    rows = [["key", "cells", "OLD -> NEW"]]
    for key, group in differences.groupby("key", sort=True):
        if len(group) > 3:
            rows.append([str(key), str(group["cells"].sum()), f"{len(group)} different pairs"])
            continue
        rows += [
            [str(key), str(cells), f"{_short(old)} -> {_short(new)}"]
            for old, new, cells in group[["old", "new", "cells"]].itertuples(index=False)
        ]
    return rows


def _short(value: str) -> str:
    is_hash = len(value) == 64 and set(value) <= set("0123456789abcdef")
    return value[:12] if is_hash else value or "(nothing)"


def _tables(tables: Sequence[Compared]) -> list[list[str]]:
    return [[one.name, one.status, _told(one)] for one in tables]


def _told(table: Compared) -> str:
    difference = table.difference
    if difference is None:
        return table.note
    phrases = [f"{difference.rows} rows in both"]
    for count, where in ((difference.only_old, ONLY_OLD), (difference.only_new, ONLY_NEW)):
        phrases += [f"{count} {where}"] if count else []
    for names, where in (
        (difference.columns_only_old, ONLY_OLD),
        (difference.columns_only_new, ONLY_NEW),
    ):
        phrases += [f"column {', '.join(names)} {where}"] if names else []
    phrases += [
        f"{column.column}: {column.rows} differ"
        + ("" if pd.isna(column.largest) else f", by up to {_number(column.largest)}")
        for column in difference.columns
    ]
    return "; ".join(phrases)


def _flips(flips: pd.DataFrame) -> list[list[str]]:
    rows = []
    for flip in flips.to_dict("records"):
        keys = [flip[name] for name in ("model", "origin", "window", "span")]
        rows.append(
            [
                str(flip["id"]),
                " ".join(str(part) for part in keys if not pd.isna(part)),
                f"{_verdict(flip, 'old')} -> {_verdict(flip, 'new')}",
            ]
        )
    return rows


def _verdict(flip: dict[Any, Any], side: str) -> str:
    value, low, high = (_shown(flip[f"{name}_{side}"]) for name in ("value", "low", "high"))
    return f"{flip[f'verdict_{side}']} ({value} [{low}, {high}], n {flip[f'n_{side}']})"


def _number(value: float) -> str:
    return "-" if pd.isna(value) else f"{value:.2e}"


def _shown(value: Any) -> str:
    if value is None or pd.isna(value):
        return "null"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
