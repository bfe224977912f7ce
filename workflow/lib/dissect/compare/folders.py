"""What a results folder holds: the rows of each cell, where they come from, and the tables."""

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dissect.compare.archive import unpack
from dissect.errors import DissectError
from dissect.results.collect import CELL, PER_RUN
from dissect.results.schema import read_metadata

# Not results: what pandas and arrow note for themselves.
_NOT_PROVENANCE = PER_RUN | {"pandas", "ARROW:schema", "cells"}
ROW_KEYS = ["window", "layer", "first_layer", "last_layer", "question", "donor", "span"]
_NAMES = dict.fromkeys(["model", "method", "concept", "concept_name"], str)


class Cells(Protocol):
    """The cells of a results folder, each named model/method/concept/experiment."""

    @property
    def names(self) -> list[str]:
        """All of them, sorted."""

    def rows(self, name: str) -> pa.Table:
        """A cell's rows, without metadata."""

    def provenance(self, name: str) -> dict[str, str]:
        """Where a cell's numbers come from: its metadata; packages one by one."""


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
            with _named(path, folder):
                yield Path(folder)
    else:
        seen = "is neither a folder nor a file" if path.exists() else "does not exist"
        raise DissectError(f"{path} {seen}; give a results folder, or the archive of one")


@contextmanager
def _named(archive: Path, folder: str) -> Iterator[None]:
    """Messages on files in the temporary folder name the archive instead."""
    try:
        yield
    except DissectError as error:
        raise DissectError(str(error).replace(f"{folder}/", f"{archive}: ")) from error


def open_cells(folder: Path, named: Path) -> Cells:
    """The cells of a results folder: their own files, or else all rows in tables/krs.parquet.

    Args:
        named: what messages call the folder.

    Raises:
        DissectError: if there is neither.
    """
    files = sorted((folder / "krs").glob("*/*/*/*.parquet"))
    collected = folder / "tables" / "krs.parquet"
    if files:
        return CellFiles(files)
    if collected.exists():
        return CollectedCells(collected)
    raise DissectError(
        f"{named} holds no results: no krs/MODEL/METHOD/CONCEPT/EXPERIMENT.parquet and no "
        "tables/krs.parquet"
    )


class CellFiles:
    """Cells in files of their own."""

    def __init__(self, files: list[Path]) -> None:
        self._files = {"/".join((*file.parts[-4:-1], file.stem)): file for file in files}

    @property
    def names(self) -> list[str]:
        return sorted(self._files)

    def rows(self, name: str) -> pa.Table:
        with _readable(self._files[name]):
            table = _open(self._files[name]).read(use_threads=False)
        return table.replace_schema_metadata(None)

    def provenance(self, name: str) -> dict[str, str]:
        with _readable(self._files[name]):
            return _provenance(read_metadata(self._files[name]))


class CollectedCells:
    """Cells in one table of all rows, each within one row group."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with _readable(path):
            self._file = _open(path)
            metadata = read_metadata(path)
            self._shared = {key: value for key, value in metadata.items() if key != "cells"}
            self._own: dict[str, dict[str, str]] = json.loads(metadata.get("cells", "{}"))
            self._group_of = {
                name: group
                for group in range(self._file.num_row_groups)
                for name in _names_in(self._file.read_row_group(group, columns=CELL))
            }
        self._group, self._table = -1, pa.table({})

    @property
    def names(self) -> list[str]:
        return sorted(self._group_of)

    def rows(self, name: str) -> pa.Table:
        group = self._group_of[name]
        if group != self._group:
            with _readable(self._path):
                table = self._file.read_row_group(group, use_threads=False)
            self._group, self._table = group, table.replace_schema_metadata(None)
        wanted = self._table
        for column, value in zip(CELL, name.split("/"), strict=True):
            wanted = wanted.filter(pc.equal(wanted[column], value))
        return wanted

    def provenance(self, name: str) -> dict[str, str]:
        with _readable(self._path):
            return _provenance(self._shared | self._own.get(name, {}))


def _names_in(keys: pa.Table) -> list[str]:
    keys_of_sweeps = keys.group_by(CELL).aggregate([]).to_pylist()
    for column in CELL:
        if any(row[column] is None for row in keys_of_sweeps):
            raise ValueError(f"column {column} has nulls, so rows cannot be matched")
    return ["/".join(str(row[column]) for column in CELL) for row in keys_of_sweeps]


def _open(path: Path) -> pq.ParquetFile:
    """A parquet file of sweeps, whose columns are those by which rows are matched, and others."""
    file = pq.ParquetFile(path)
    missing = [name for name in (*CELL, *ROW_KEYS) if name not in file.schema_arrow.names]
    if missing:
        raise ValueError(f"it has no column {', '.join(missing)}")
    return file


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """One line for whatever is wrong with a file: its bytes, its columns or its metadata."""
    try:
        yield
    except (pa.ArrowException, OSError, ValueError, AttributeError, TypeError) as error:
        raise DissectError(
            f"{path} cannot be read as a table of sweeps: {_first_line(error)}"
        ) from error


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _provenance(metadata: dict[str, Any]) -> dict[str, str]:
    fields = {key: value for key, value in metadata.items() if key not in _NOT_PROVENANCE}
    packages = json.loads(fields.pop("packages", "{}"))
    return fields | {f"packages.{name}": version for name, version in packages.items()}


def read_table(path: Path) -> pd.DataFrame:
    """A table of the folder tables/. A column is numbers if all its values are, but for names.

    Raises:
        DissectError: if it cannot be read.
    """
    try:
        if path.suffix == ".parquet":
            return pd.read_parquet(path)
        # A model may be called NA: only an empty field is null.
        return pd.read_csv(path, keep_default_na=False, na_values=[""], dtype=_NAMES)
    except (pa.ArrowException, ValueError, OSError) as error:
        raise DissectError(f"{path} cannot be read: {_first_line(error)}") from error
