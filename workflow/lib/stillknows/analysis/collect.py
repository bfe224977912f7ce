"""All files of a kind in one table, and which sweeps are there."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from stillknows.analysis.self_patch import TOLERANCE
from stillknows.analysis.tables import row_groups
from stillknows.errors import StudyError
from stillknows.files import atomic_path
from stillknows.parquet_files import (
    ANSWER_SCHEMA,
    ATTENTION_MAPS,
    CHANGES_SCHEMA,
    CONCEPT_VECTOR,
    MLP_MAPS,
    SCHEMA_VERSION,
    SWEEP_SCHEMA,
    read_metadata,
    read_table,
)

SWEEP_KEYS = ["model", "method", "concept", "experiment"]
COVERAGE_COLUMNS = [*SWEEP_KEYS, "status", "reason", "origin", "rows", "null_krs"]

# Metadata that differs between two runs of one job; a collection's bytes do not depend on it.
PER_RUN = {"wall_seconds", "peak_memory_mib", "peak_gpu_memory_mib"}
_ROWS_PER_GROUP = 1 << 17

# model/method/concept -> what the column origin says instead of the checkpoint's own.
Origins = Mapping[str, str]
NO_ORIGINS: Origins = {}


def collect_sweeps(sweeps: Iterable[Path], output: Path, origins: Origins = NO_ORIGINS) -> None:
    """Write the rows of all sweeps to one parquet file of the same schema.

    Sweeps stand in the order of their keys. A row group holds whole sweeps, which `concept_scores`
    relies on. Metadata that all sweeps share is kept under its own key; what differs between them
    is under `sweeps`, as JSON {model/method/concept/experiment: {key: value}}.

    Args:
        origins: what to put in the column origin, by model/method/concept, where it is not the
            checkpoint's own (`Study.origins_apart`).

    Raises:
        StudyError: if there is no sweep, or one is unreadable, of another schema, or holds rows
            of another sweep than its path says.
    """
    by_key = sorted(((*sweep.parts[-4:-1], sweep.stem), sweep) for sweep in sweeps)
    by_name = {"/".join(key): sweep for key, sweep in by_key}
    if not by_name:
        raise StudyError(
            "no sweep to collect: nothing of the selection can be computed; "
            "see the checkpoints table and on_missing_checkpoint"
        )
    schema = SWEEP_SCHEMA.with_metadata(collected_metadata(by_name, "sweeps"))
    tables = (_marked(_read_sweep(sweep, key), origins) for key, sweep in by_key)
    _write_collection(output, tables, schema)


def collect_answers(files: Iterable[Path], output: Path, origins: Origins = NO_ORIGINS) -> None:
    """Write the answers of all unlearned models to one file of the same schema.

    Files stand in the order of their paths' model, method and concept, unpatched answers first.
    Metadata and `reference` as in tables/krs.parquet, with what differs under `files`.

    Raises:
        StudyError: if one is unreadable or of another schema.
    """
    by_name = dict(sorted(("/".join((*path.parts[-3:-1], path.stem)), path) for path in files))
    schema = ANSWER_SCHEMA.with_metadata(collected_metadata(by_name, "files"))
    tables = (_marked(read_table(path, ANSWER_SCHEMA), origins) for path in by_name.values())
    _write_collection(output, tables, schema)


def collect_weight_changes(files: Iterable[Path], origins: Origins = NO_ORIGINS) -> pd.DataFrame:
    """The weight changes of all checkpoints, sorted by their keys; attention before MLP."""
    each = (_marked(read_table(path, CHANGES_SCHEMA), origins) for path in files)
    tables = pa.concat_tables(each)
    rows: pd.DataFrame = tables.unify_dictionaries().to_pandas()
    order = [*ATTENTION_MAPS, *MLP_MAPS, CONCEPT_VECTOR]
    rows["component"] = pd.Categorical(rows["component"], order)
    keys = ["model", "origin", "method", "concept"]
    rows = rows.astype(dict.fromkeys(keys, str))
    return rows.sort_values([*keys, "component", "layer"], ignore_index=True)


def collect_self_patch(files: Iterable[Path]) -> pd.DataFrame:
    """The outcome of each self-patch check, .../{model}/{method}/{concept}.parquet."""
    metadata = {path: read_metadata(path) for path in files}
    rows = [
        (*path.parts[-3:-1], path.stem, fields["dtype"], float(fields["largest_change"]))
        for path, fields in metadata.items()
    ]
    keys = ["model", "method", "concept"]
    table = pd.DataFrame(rows, columns=[*keys, "dtype", "largest_change"])
    table["tolerance"] = table["dtype"].map(TOLERANCE)
    return table.sort_values(keys, ignore_index=True)


def collected_metadata(files: Mapping[str, Path], listed_under: str) -> dict[str, str]:
    """What all files' metadata agree on, and by the file's name what they do not."""
    left_out = {*PER_RUN, "schema_version", "pandas", "ARROW:schema"}
    each = {
        name: {key: value for key, value in read_metadata(path).items() if key not in left_out}
        for name, path in files.items()
    }
    shared = set.intersection(*(set(one.items()) for one in each.values()))
    own = json.dumps({name: dict(sorted(one.items() - shared)) for name, one in each.items()})
    return dict(sorted(shared)) | {"schema_version": SCHEMA_VERSION, listed_under: own}


def _write_collection(output: Path, tables: Iterable[pa.Table], schema: pa.Schema) -> None:
    with atomic_path(output) as partial, pq.ParquetWriter(partial, schema) as writer:
        for group in _grouped(tables):
            writer.write_table(group.cast(schema), row_group_size=max(group.num_rows, 1))


def _marked(table: pa.Table, origins: Origins) -> pa.Table:
    """The table of one checkpoint, with the origin that is named for it, if one is."""
    keys = [pc.unique(table[name]).to_pylist() for name in ("model", "method", "concept")]
    origin = origins.get("/".join(names[0] for names in keys)) if table.num_rows else None
    if origin is None:
        return table
    field = table.schema.get_field_index("origin")
    values = pa.array([origin] * len(table)).dictionary_encode()
    return table.set_column(field, table.schema.field(field), values)


def _grouped(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Whole tables put together to about _ROWS_PER_GROUP rows each."""
    group: list[pa.Table] = []
    for table in tables:
        group.append(table.replace_schema_metadata(None))
        if sum(one.num_rows for one in group) >= _ROWS_PER_GROUP:
            yield pa.concat_tables(group).unify_dictionaries()
            group = []
    if group:
        yield pa.concat_tables(group).unify_dictionaries()


def _read_sweep(sweep: Path, key: Sequence[str]) -> pa.Table:
    table = read_table(sweep, SWEEP_SCHEMA)
    for column, expected in zip(SWEEP_KEYS, key, strict=True):
        values = pc.unique(table[column]).to_pylist()
        if values != [expected]:
            raise StudyError(
                f"{sweep}: column {column} holds {values}, but its path says {expected!r}: "
                "delete this file and run again"
            )
    return table


def coverage(table: Path, missing: Iterable[Mapping[str, str]]) -> pd.DataFrame:
    """One row per selected sweep: how many rows it has and how many without a score, or why none.

    The score is KRS, in noising the noising ratio; a row has one of them at most.

    Args:
        table: tables/krs.parquet.
        missing: per sweep that has no result: model, method, concept, experiment, reason, and the
            origin that its checkpoint would have.
    """
    keys = [*SWEEP_KEYS, "origin"]
    counts = [
        rows.append_column("valid", pc.is_finite(pc.coalesce(rows["krs"], rows["noising_ratio"])))
        .group_by(keys, use_threads=False)
        .aggregate([("valid", "sum"), ([], "count_all")])
        for rows in row_groups(table, ["krs", "noising_ratio"])
    ]
    done = pa.concat_tables(counts).unify_dictionaries().to_pandas()
    done = done.astype(dict.fromkeys(keys, str)).assign(status="done", rows=done["count_all"])
    done["null_krs"] = done["rows"] - done["valid_sum"].fillna(0).astype(int)
    absent = pd.DataFrame(list(missing)).assign(status="missing", rows=0, null_krs=0)
    parts: list[pd.DataFrame] = [part for part in (done, absent) if len(part)]
    both = pd.concat(parts, ignore_index=True).reindex(columns=COVERAGE_COLUMNS)
    return both.sort_values(SWEEP_KEYS, ignore_index=True)
