"""Files are whole or not there."""

import errno
import os
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from dissect.errors import DissectError
from dissect.files import atomic_folder, atomic_path
from dissect.results.schema import write_rows
from planted import plant


def test_atomic_path_replaces_only_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file.txt"
    with atomic_path(path) as partial:
        partial.write_text("new")
        assert not path.exists()
    assert path.read_text() == "new"
    assert list(path.parent.iterdir()) == [path]


def test_atomic_path_leaves_the_old_file_after_an_exception(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), atomic_path(path) as partial:
        partial.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_atomic_path_removes_what_a_killed_job_left(tmp_path: Path) -> None:
    path = tmp_path / "file[1].txt"
    left, being_written, another = (
        tmp_path / f".{name}.partial" for name in ("file[1].txt.x", "file[1].txt.y", "file1.txt.z")
    )
    for partial in (left, being_written, another):
        partial.touch()
    for partial in (left, another):
        os.utime(partial, (0, 0))
    with atomic_path(path) as partial:
        partial.touch()
    assert {*tmp_path.iterdir()} == {path, being_written, another}


def test_atomic_folder_takes_the_old_ones_place_whole(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    for name in ("first", "second"):
        with atomic_folder(folder) as partial:
            (partial / name).write_text(name)
    assert [file.name for file in folder.iterdir()] == ["second"]
    with pytest.raises(RuntimeError), atomic_folder(folder) as partial:
        (partial / "third").write_text("half")
        raise RuntimeError
    assert [file.name for file in folder.iterdir()] == ["second"]
    assert list(tmp_path.iterdir()) == [folder]


def test_a_full_disk_leaves_no_half_parquet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_table: object, where: Path) -> None:
        where.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    sweep = plant(tmp_path, [[0.5, 0.25]])
    rows = pd.read_parquet(sweep)
    before = sorted(tmp_path.iterdir())
    monkeypatch.setattr(pq, "write_table", full)
    with pytest.raises(DissectError, match="no space left while writing") as error:
        write_rows(tmp_path / "other.parquet", pd.DataFrame(rows), {})
    assert "\n" not in str(error.value)
    assert sorted(tmp_path.iterdir()) == before
