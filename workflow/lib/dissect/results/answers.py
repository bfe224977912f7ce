"""The parquet contract of answers: one row per question, with both models' texts."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from dissect.errors import DissectError
from dissect.files import atomic_path
from dissect.results.schema import read_metadata, readable

SCHEMA_VERSION = "1"

_KEY = pa.dictionary(pa.int32(), pa.string())
# The original's own answers.
ORIGINAL_SCHEMA = pa.schema(
    [
        ("model", _KEY),
        ("concept", _KEY),
        ("concept_name", _KEY),
        ("set", _KEY),  # target | completion | unrelated
        ("question", pa.int32()),  # from 0, within its set
        ("prompt", pa.string()),  # what the model read
        ("answer", pa.string()),
    ]
)
# An unlearned model's, beside the original's.
ANSWER_SCHEMA = pa.schema(
    [
        ("model", _KEY),
        ("method", _KEY),
        ("origin", _KEY),
        ("concept", _KEY),
        ("concept_name", _KEY),
        ("set", _KEY),
        ("question", pa.int32()),
        ("prompt", pa.string()),
        ("experiment", _KEY),  # what was put back; null: nothing
        ("first_layer", pa.int32()),  # into which layers, both included; null: none
        ("last_layer", pa.int32()),
        ("answer_original", pa.string()),
        ("answer", pa.string()),
        ("bleu", pa.float64()),  # against the original's answer; null where that is empty
        ("rouge_l", pa.float64()),
    ]
)


def write_answers(
    path: Path, rows: Sequence[Mapping[str, Any]], schema: pa.Schema, metadata: Mapping[str, str]
) -> None:
    """Write answers whole or not at all; None and NaN are null.

    Args:
        schema: ORIGINAL_SCHEMA or ANSWER_SCHEMA; each row has its columns.
        metadata: goes into the file's own key-value metadata, beside the schema version.

    Raises:
        DissectError: if the disk is full; nothing half-written is left.
    """
    columns = {
        field.name: pa.array([row[field.name] for row in rows], field.type, from_pandas=True)
        for field in schema
    }
    table = pa.table(columns, schema=schema)
    table = table.replace_schema_metadata({"schema_version": SCHEMA_VERSION, **metadata})
    with atomic_path(path) as partial:
        pq.write_table(table, partial)


def read_answers(path: Path, schema: pa.Schema = ANSWER_SCHEMA) -> pa.Table:
    """Read a table that `write_answers` wrote.

    Raises:
        DissectError: if the file is no parquet of this schema.
    """
    with readable(path):
        table = pq.ParquetFile(path).read(use_threads=False)
    version = read_metadata(path).get("schema_version")
    if version != SCHEMA_VERSION or not table.schema.equals(schema):
        raise DissectError(
            f"{path} has other columns than this program writes: delete it and run again"
        )
    return table
