"""All files of a kind in one table."""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from stillknows.analysis.self_patch import TOLERANCE
from stillknows.errors import StudyError
from stillknows.files import atomic_path
from stillknows.parquet_files import (
    ANSWER_SCHEMA,
    ATTENTION_MAPS,
    CHANGES_SCHEMA,
    CONCEPT_VECTOR,
    DEPTH_SCHEMA,
    DONOR_SCHEMA,
    MLP_MAPS,
    SCHEMA_VERSION,
    SWEEP_SCHEMA,
    read_metadata,
    read_table,
    write_rows,
)

# Metadata that differs between two runs of one job; a collection's bytes do not depend on it.
PER_RUN = {"wall_seconds", "peak_memory_mib", "peak_gpu_memory_mib"}
_ROWS_PER_GROUP = 1 << 17

# Layers with less fact loss by the reference itself are left out, as published.
LEAST_FACT_LOSS = 0.05
COPY_KEYS = ["model", "method", "origin", "concept", "concept_name", "form"]

# model/method/concept -> what the column origin says instead of the checkpoint's own
# (`Study.origins_in_tables`).
Origins = Mapping[str, str]
NO_ORIGINS: Origins = {}


def collect_sweeps(sweeps: Iterable[Path], output: Path, origins: Origins = NO_ORIGINS) -> None:
    """Write the rows of all sweeps, .../{model}/{method}/{concept}/{experiment}.parquet, to a file.

    A row group holds whole sweeps, which `concept_scores` relies on. Metadata that all sweeps share
    is kept under its own key; what differs is under `sweeps`, as JSON
    {model/method/concept/experiment: {key: value}}. A StudyError if there is no sweep, or one is
    unreadable or of another schema.
    """
    files = {"/".join(key): path for key, path in sorted((_key(path, 4), path) for path in sweeps)}
    if not files:
        raise StudyError(
            "no sweep to collect: nothing of the selection can be computed; "
            "see the checkpoints table and on_missing_checkpoint"
        )
    _collect(files, output, SWEEP_SCHEMA, "sweeps", origins)


def collect_answers(answers: Iterable[Path], output: Path, origins: Origins = NO_ORIGINS) -> None:
    """Write all unlearned models' answers to a file, as `collect_sweeps`; unpatched ones come
    first.
    """
    files = {"/".join(key): path for key, path in sorted((_key(path, 3), path) for path in answers)}
    _collect(files, output, ANSWER_SCHEMA, "files", origins)


def collect_depth(depths: Iterable[Path], output: Path, reference: str | None) -> None:
    """Write the depths of all copies, beside those of the method `reference`, to one file.

    A StudyError if depth was measured nowhere.
    """
    files = {"/".join(_key(path, 3)): path for path in depths}
    if not files:
        raise StudyError(
            "no depth was measured: it needs a reference model (reference and depth.forms in the "
            "config) and answer_facts in the concept file (docs/explanation/depth.md)"
        )
    tables = pa.concat_tables(read_table(path, DONOR_SCHEMA) for path in files.values())
    rows = tables.unify_dictionaries().to_pandas().astype(dict.fromkeys(COPY_KEYS, str))
    is_reference = rows["method"] == reference
    rows = with_reference(rows[~is_reference], rows[is_reference])
    write_rows(output, rows, _collected_metadata(files, "files"), DEPTH_SCHEMA)


def with_reference(copies: pd.DataFrame, references: pd.DataFrame) -> pd.DataFrame:
    """Rows of DEPTH_SCHEMA: each copy's scores beside the reference's, per question and layer.

    `ratio` is the fact loss by the copy divided by that by the reference, not clipped; null where
    the latter is at most LEAST_FACT_LOSS.
    """
    point = ["model", "concept", "form", "question", "layer"]
    of_reference = references[[*point, "logprob_patched"]]
    of_reference = of_reference.rename(columns={"logprob_patched": "logprob_reference"})
    rows = copies.rename(columns={"logprob_patched": "logprob_copy"})
    rows = rows.merge(of_reference, on=point, validate="many_to_one")
    by_reference = rows["logprob_original"] - rows["logprob_reference"]
    by_copy = rows["logprob_original"] - rows["logprob_copy"]
    rows["ratio"] = (by_copy / by_reference).where(by_reference > LEAST_FACT_LOSS)
    columns = [name for name in DEPTH_SCHEMA.names if name in rows]
    return rows[columns].sort_values([*COPY_KEYS, "question", "layer"], ignore_index=True)


def collect_weight_changes(files: Iterable[Path], origins: Origins = NO_ORIGINS) -> pd.DataFrame:
    """The weight changes of all checkpoints, sorted by their keys; attention before MLP."""
    tables = pa.concat_tables(
        with_origin(read_table(path, CHANGES_SCHEMA), origins) for path in files
    )
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
        (*_key(path, 3), fields["dtype"], float(fields["largest_change"]))
        for path, fields in metadata.items()
    ]
    keys = ["model", "method", "concept"]
    table = pd.DataFrame(rows, columns=[*keys, "dtype", "largest_change"])
    table["tolerance"] = table["dtype"].map(TOLERANCE)
    return table.sort_values(keys, ignore_index=True)


def _key(path: Path, length: int) -> tuple[str, ...]:
    return path.with_suffix("").parts[-length:]


def _collect(
    files: Mapping[str, Path], output: Path, schema: pa.Schema, listed_under: str, origins: Origins
) -> None:
    """Write the rows of all files to one file of the same schema, in row groups of whole files."""
    schema = schema.with_metadata(_collected_metadata(files, listed_under))
    tables = (with_origin(read_table(path, schema), origins) for path in files.values())
    with atomic_path(output) as partial, pq.ParquetWriter(partial, schema) as writer:
        for group in _row_groups(tables):
            writer.write_table(group.cast(schema), row_group_size=max(group.num_rows, 1))


def _collected_metadata(files: Mapping[str, Path], listed_under: str) -> dict[str, str]:
    """What all files' metadata agree on, and by the file's name what they do not."""
    left_out = {*PER_RUN, "schema_version", "pandas", "ARROW:schema"}
    fields = {
        name: {key: value for key, value in read_metadata(path).items() if key not in left_out}
        for name, path in files.items()
    }
    shared = set.intersection(*(set(metadata.items()) for metadata in fields.values()))
    own = {name: dict(sorted(metadata.items() - shared)) for name, metadata in fields.items()}
    return dict(sorted(shared)) | {"schema_version": SCHEMA_VERSION, listed_under: json.dumps(own)}


def with_origin(table: pa.Table, origins: Origins) -> pa.Table:
    """The table of one checkpoint, with the origin that is named for it, if one is."""
    keys = [pc.unique(table[name]).to_pylist() for name in ("model", "method", "concept")]
    origin = origins.get("/".join(names[0] for names in keys)) if table.num_rows else None
    if origin is None:
        return table
    field = table.schema.get_field_index("origin")
    values = pa.array([origin] * len(table)).dictionary_encode()
    return table.set_column(field, table.schema.field(field), values)


def _row_groups(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Whole tables put together to about _ROWS_PER_GROUP rows each."""
    group: list[pa.Table] = []
    for table in tables:
        group.append(table.replace_schema_metadata(None))
        if sum(part.num_rows for part in group) >= _ROWS_PER_GROUP:
            yield pa.concat_tables(group).unify_dictionaries()
            group = []
    if group:
        yield pa.concat_tables(group).unify_dictionaries()
