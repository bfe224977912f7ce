"""The parquet contract: one cell of the study, one row per window x question x span x donor."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from dissect.errors import DissectError
from dissect.files import atomic_path

SCHEMA_VERSION = "1"

_KEY = pa.dictionary(pa.int32(), pa.string())
_COLUMNS: list[tuple[str, pa.DataType]] = [
    ("model", _KEY),
    ("method", _KEY),
    ("origin", _KEY),  # published | trained_here | own
    ("concept", _KEY),
    ("concept_name", _KEY),
    ("experiment", _KEY),
    ("window", _KEY),  # width as a name: sliding_5, suffix, ...
    ("layer", pa.int32()),  # the window's centre, or a suffix's first layer; from 0
    ("first_layer", pa.int32()),
    ("last_layer", pa.int32()),
    ("question", pa.int32()),  # from 0
    ("donor", _KEY),  # original; controls: other_question, noise, self
    ("span", _KEY),  # notebook | answer
    ("positions", pa.int32()),  # how many were compared
    ("loss_unlearned", pa.float64()),  # mean squared logit difference to the original
    ("loss_patched", pa.float64()),
    ("krs", pa.float64()),  # 1 - loss_patched / loss_unlearned; null where the latter is 0
    ("kl_unlearned", pa.float64()),  # KL(original || model), nats, mean over positions
    ("kl_patched", pa.float64()),
    ("top1_unlearned", pa.float64()),  # share of positions whose argmax is the original's
    ("top1_patched", pa.float64()),
    ("answer_logprob_original", pa.float64()),  # mean nats per answer token; null under notebook
    ("answer_logprob_unlearned", pa.float64()),
    ("answer_logprob_patched", pa.float64()),
]
CELL_SCHEMA = pa.schema(_COLUMNS)
KEYS = [name for name, kind in _COLUMNS if kind == _KEY]


def write_rows(
    path: Path, rows: pd.DataFrame, metadata: Mapping[str, str], schema: pa.Schema = CELL_SCHEMA
) -> None:
    """Write a table in a contract's schema, a cell's if not said, whole or not at all.

    Args:
        rows: the schema's columns, in any order.
        metadata: goes into the file's own key-value metadata, beside the schema version.

    Raises:
        DissectError: if the disk is full; nothing half-written is left.
    """
    table = pa.Table.from_pandas(rows[schema.names], schema, preserve_index=False)
    table = table.replace_schema_metadata({"schema_version": SCHEMA_VERSION, **metadata})
    with atomic_path(path) as partial:
        pq.write_table(table, partial)


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """For what reads one of the workflow's own parquet files.

    Raises:
        DissectError: in place of what pyarrow raises for a file that is no parquet.
    """
    try:
        yield
    except (pa.ArrowInvalid, OSError) as error:
        raise DissectError(f"{path} cannot be read as parquet: delete it and run again") from error


def read_rows(path: Path) -> pd.DataFrame:
    """Read a table written by `write_rows`; keys come as pandas categories.

    Raises:
        DissectError: if the file is no parquet of this schema version.
    """
    with readable(path):
        table = pq.read_table(path)
    version = read_metadata(path).get("schema_version")
    if version != SCHEMA_VERSION:
        raise DissectError(
            f"{path} has schema version {version}, this program reads {SCHEMA_VERSION}: "
            "delete it and run again"
        )
    frame: pd.DataFrame = table.to_pandas()
    return frame


def read_metadata(path: Path) -> dict[str, Any]:
    """The key-value metadata of a parquet file, as text."""
    metadata = pq.read_schema(path).metadata or {}
    return {key.decode(): value.decode() for key, value in metadata.items()}
