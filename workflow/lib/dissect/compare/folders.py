"""What a results folder holds: the rows of each sweep, where they come from, and the tables."""

import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dissect.analysis.collect import PER_RUN, SWEEP_KEYS
from dissect.compare.archive import unpack
from dissect.errors import DissectError, reason_of
from dissect.results.csv_files import read_csv
from dissect.results.schema import metadata_of

# Not results, or what pandas and arrow note for themselves.
_NOT_PROVENANCE = PER_RUN | {"pandas", "ARROW:schema", "sweeps"}
ROW_KEYS = ["window", "layer", "first_layer", "last_layer", "question", "donor", "span"]


@dataclass(frozen=True)
class Sweep:
    """The rows of one sweep, and where its numbers come from.

    Attributes:
        group: the row group in the table of all sweeps; None: it has a file of its own.
        provenance: its metadata; packages one by one.
    """

    path: Path
    group: int | None
    provenance: dict[str, str]


Sweeps = dict[str, Sweep]
"""By name, model/method/concept/experiment."""


@contextmanager
def results_folder(path: Path) -> Iterator[Path]:
    """A results folder: `path` itself, or what is in an archive of one, while the block lasts.

    Raises:
        DissectError: if there is no such folder, and no such archive.
    """
    if path.is_dir():
        next(path.iterdir(), None)  # a folder without permission to read would look empty
        yield path
    elif path.is_file():
        with tempfile.TemporaryDirectory() as folder:
            unpack(path, Path(folder))
            try:
                yield Path(folder)
            except DissectError as error:
                raise DissectError(str(error).replace(f"{folder}/", f"{path}: ")) from error
    else:
        problem = "is neither a folder nor a file" if path.exists() else "does not exist"
        raise DissectError(f"{path} {problem}; give a results folder, or the archive of one")


def open_sweeps(folder: Path, shown: Path) -> Sweeps:
    """The sweeps of a results folder: in files of their own, or else in tables/krs.parquet.

    Args:
        shown: what messages call the folder.

    Raises:
        DissectError: if there is neither, or one cannot be read.
    """
    files = sorted((folder / "krs").glob("*/*/*/*.parquet"))
    if files:
        return {"/".join((*path.parts[-4:-1], path.stem)): _sweep_in_file(path) for path in files}
    collected = folder / "tables" / "krs.parquet"
    if collected.exists():
        return sweeps_in_table(collected)
    raise DissectError(
        f"{shown} holds no results: no krs/MODEL/METHOD/CONCEPT/EXPERIMENT.parquet and no "
        "tables/krs.parquet; name a results folder"
    )


def _sweep_in_file(path: Path) -> Sweep:
    with _readable(path):
        return Sweep(path, None, _provenance(metadata_of(pq.read_schema(path))))


def sweeps_in_table(path: Path) -> Sweeps:
    """Sweeps in one table of all rows, each within one row group."""
    with _readable(path):
        file = _open(path)
        metadata = metadata_of(file.schema_arrow)
        own = json.loads(metadata.get("sweeps", "{}"))
        return {
            name: Sweep(path, group, _provenance(metadata | own.get(name, {})))
            for group in range(file.num_row_groups)
            for name in _names_in(file.read_row_group(group, columns=SWEEP_KEYS), path)
        }


def _names_in(keys: pa.Table, path: Path) -> list[str]:
    for column in SWEEP_KEYS:
        if keys[column].null_count:
            raise DissectError(f"{path}: column {column} has nulls, so rows cannot be matched")
    sweeps = keys.group_by(SWEEP_KEYS).aggregate([]).to_pylist()
    return ["/".join(str(row[column]) for column in SWEEP_KEYS) for row in sweeps]


def _provenance(metadata: Mapping[str, str]) -> dict[str, str]:
    fields = {key: value for key, value in metadata.items() if key not in _NOT_PROVENANCE}
    packages = json.loads(fields.pop("packages", "{}"))
    return fields | {f"packages.{name}": version for name, version in packages.items()}


def read_sweep(name: str, sweep: Sweep) -> pa.Table:
    """The rows of a sweep, without metadata."""
    with _readable(sweep.path):
        if sweep.group is None:
            table = _open(sweep.path).read(use_threads=False)
        else:
            table = _row_group(sweep.path, sweep.group)
            for column, value in zip(SWEEP_KEYS, name.split("/"), strict=True):
                table = table.filter(pc.equal(table[column], value))
        return table.replace_schema_metadata(None)


@lru_cache(maxsize=4)  # a group holds many sweeps, which are read one after the other
def _row_group(path: Path, group: int) -> pa.Table:
    return _open(path).read_row_group(group, use_threads=False)


def _open(path: Path) -> pq.ParquetFile:
    file = pq.ParquetFile(path)
    missing = [name for name in (*SWEEP_KEYS, *ROW_KEYS) if name not in file.schema_arrow.names]
    if missing:
        raise DissectError(
            f"{path} is not a table of sweeps: it has no column {', '.join(missing)}; give results "
            "folders or archives of this workflow"
        )
    return file


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """One line for whatever is wrong with a file: its bytes, or its metadata."""
    try:
        yield
    except (pa.ArrowException, OSError, ValueError, AttributeError, TypeError) as error:
        raise DissectError(
            f"{path} cannot be read as a table of sweeps: {reason_of(error)}"
        ) from error


def read_table(path: Path) -> pd.DataFrame:
    """A table of the folder tables/."""
    try:
        if path.suffix == ".parquet":
            return pd.read_parquet(path)
        return read_csv(path)
    except (pa.ArrowException, ValueError, OSError) as error:
        raise DissectError(f"{path} cannot be read: {reason_of(error)}") from error
