"""All cells' rows in one file, and which cells are there."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dissect.errors import DissectError
from dissect.files import atomic_path
from dissect.results.schema import CELL_SCHEMA, SCHEMA_VERSION, read_metadata, readable

CELL = ["model", "method", "concept", "experiment"]
COVERAGE_COLUMNS = [*CELL, "status", "reason", "origin", "rows", "null_krs"]

# Metadata that differs between two runs of one job: kept in the cell, left out of the collection,
# whose bytes then depend on the results only.
PER_RUN = {"wall_seconds", "peak_memory_mib"}
_ROWS_PER_GROUP = 1 << 17


def collect_cells(cells: Iterable[Path], output: Path) -> pd.DataFrame:
    """Write the rows of all cells to one parquet file of the same schema; return their coverage.

    Cells are read one at a time and stand in the order of their keys, whatever order they are
    given in. A row group holds whole cells, which `concept_scores` relies on. Metadata that all
    cells share is kept under its own key; what differs between them is under `cells`, as JSON
    {model/method/concept/experiment: {key: value}}.

    Returns:
        one row per cell, COVERAGE_COLUMNS with status "done".

    Raises:
        DissectError: if there is no cell, or one is unreadable, of another schema, or holds rows
            of another cell than its path says.
    """
    ordered = sorted(cells, key=_key_of)
    if not ordered:
        raise DissectError(
            "no cell to collect: nothing of the selection can be computed; "
            "see the checkpoints table and on_missing_checkpoint"
        )
    coverage: list[dict[str, Any]] = []
    with atomic_path(output) as partial:
        schema = CELL_SCHEMA.with_metadata(_common_metadata(ordered))
        with pq.ParquetWriter(partial, schema) as writer:
            for group in _groups_of_cells(ordered, coverage):
                writer.write_table(group.cast(schema), row_group_size=group.num_rows)
    return pd.DataFrame(coverage, columns=COVERAGE_COLUMNS)


def _key_of(cell: Path) -> tuple[str, ...]:
    return (*cell.parts[-4:-1], cell.stem)


def _common_metadata(cells: Sequence[Path]) -> dict[str, str]:
    each = {"/".join(_key_of(cell)): _metadata_of(cell) for cell in cells}
    shared, own = shared_and_own(each)
    return {**shared, "schema_version": SCHEMA_VERSION, "cells": json.dumps(own)}


def shared_and_own(
    each: Mapping[str, Mapping[str, str]],
) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
    """What all files' metadata agree on, and by the file's name what they do not."""
    first = next(iter(each.values()))
    shared = {
        key: value
        for key, value in sorted(first.items())
        if all(one.get(key) == value for one in each.values())
    }
    own = {
        name: {key: value for key, value in sorted(one.items()) if key not in shared}
        for name, one in each.items()
    }
    return shared, own


def _metadata_of(cell: Path) -> dict[str, str]:
    with readable(cell):
        metadata = read_metadata(cell)
    if metadata.get("schema_version") != SCHEMA_VERSION:
        raise DissectError(
            f"{cell} has schema version {metadata.get('schema_version')}, this program reads "
            f"{SCHEMA_VERSION}: delete it and run again"
        )
    return {
        key: value
        for key, value in metadata.items()
        if key not in PER_RUN and key not in ("schema_version", "pandas", "ARROW:schema")
    }


def _groups_of_cells(cells: Sequence[Path], coverage: list[dict[str, Any]]) -> Iterator[pa.Table]:
    """Tables of whole cells, each about _ROWS_PER_GROUP rows; adds to `found` as it reads."""
    waiting: list[pa.Table] = []
    for cell in cells:
        table = _read_cell(cell)
        coverage.append(_coverage_of(cell, table))
        waiting.append(table)
        if sum(one.num_rows for one in waiting) >= _ROWS_PER_GROUP:
            yield pa.concat_tables(waiting).unify_dictionaries()
            waiting = []
    if waiting:
        yield pa.concat_tables(waiting).unify_dictionaries()


def _read_cell(cell: Path) -> pa.Table:
    with readable(cell):
        table = pq.ParquetFile(cell).read(use_threads=False)
    if not table.schema.equals(CELL_SCHEMA):
        raise DissectError(f"{cell} has other columns than this program writes: delete it, rerun")
    for column, expected in zip(CELL, _key_of(cell), strict=True):
        seen = pc.unique(table[column]).to_pylist()
        if seen != [expected]:
            raise DissectError(
                f"{cell}: column {column} holds {seen}, its path says {expected!r}: "
                "delete it and run again"
            )
    return table.replace_schema_metadata(None)


def _coverage_of(cell: Path, table: pa.Table) -> dict[str, Any]:
    return {
        **dict(zip(CELL, _key_of(cell), strict=True)),
        "status": "done",
        "reason": "",
        "origin": "+".join(sorted(map(str, pc.unique(table["origin"]).to_pylist()))),
        "rows": table.num_rows,
        "null_krs": table.num_rows - (pc.sum(pc.is_finite(table["krs"])).as_py() or 0),
    }


def coverage(done: pd.DataFrame, missing: Iterable[Mapping[str, str]]) -> pd.DataFrame:
    """One row per selected cell: there, or why not.

    Args:
        done: what `collect_cells` returned.
        missing: per cell that has no result: model, method, concept, experiment, reason, and the
            origin that its checkpoint would have.
    """
    texts = [*CELL, "reason", "origin"]
    rows = [{key: str(one.get(key, "")) for key in texts} for one in missing]
    absent = pd.DataFrame(rows, columns=texts).assign(status="missing", rows=0, null_krs=0)
    both = pd.concat([part for part in (done, absent) if len(part)], ignore_index=True)
    return both[COVERAGE_COLUMNS].sort_values(CELL, ignore_index=True)
