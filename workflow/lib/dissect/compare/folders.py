"""What a results folder holds: the rows of each cell, where they come from, and the tables."""

import json
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dissect.errors import DissectError
from dissect.results.collect import CELL, PER_RUN
from dissect.results.schema import read_metadata

# Not results: what pandas and arrow note for themselves.
_NOT_PROVENANCE = PER_RUN | {"pandas", "ARROW:schema", "cells"}
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
        yield path
    elif zipfile.is_zipfile(path):
        with tempfile.TemporaryDirectory() as folder:
            with zipfile.ZipFile(path) as archive:
                archive.extractall(folder)
            yield Path(folder)
    else:
        seen = "is no zip archive" if path.exists() else "does not exist"
        raise DissectError(f"{path} {seen}; give a results folder, or the archive of one")


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
        table = _read(self._files[name]).read(use_threads=False)
        return table.replace_schema_metadata(None)

    def provenance(self, name: str) -> dict[str, str]:
        return _provenance(read_metadata(self._files[name]))


class CollectedCells:
    """Cells in one table of all rows, each within one row group."""

    def __init__(self, path: Path) -> None:
        self._file = _read(path)
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
            table = self._file.read_row_group(group, use_threads=False)
            self._group, self._table = group, table.replace_schema_metadata(None)
        wanted = self._table
        for column, value in zip(CELL, name.split("/"), strict=True):
            wanted = wanted.filter(pc.equal(wanted[column], value))
        return wanted

    def provenance(self, name: str) -> dict[str, str]:
        return _provenance(self._shared | self._own.get(name, {}))


def _names_in(keys: pa.Table) -> list[str]:
    found = keys.group_by(CELL).aggregate([]).to_pylist()
    return ["/".join(str(row[column]) for column in CELL) for row in found]


def _read(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise DissectError(f"{path} cannot be read as parquet: {error}") from error


def _provenance(metadata: dict[str, Any]) -> dict[str, str]:
    said = {key: value for key, value in metadata.items() if key not in _NOT_PROVENANCE}
    packages = json.loads(said.pop("packages", "{}"))
    return said | {f"packages.{name}": version for name, version in packages.items()}


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
    except (ValueError, OSError) as error:
        raise DissectError(f"{path} cannot be read: {error}") from error
