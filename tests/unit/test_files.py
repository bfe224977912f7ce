"""Files are whole or not there."""

import errno
import os
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from planted import plant
from stillknows.errors import StudyError
from stillknows.files import atomic_folder, atomic_path, read_users_text, refuse_read_only
from stillknows.models.manifest import files_of
from stillknows.parquet_files import write_rows


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
    with pytest.raises(StudyError, match="no space left while writing") as error:
        write_rows(tmp_path / "other.parquet", pd.DataFrame(rows), {})
    assert "\n" not in str(error.value)
    assert sorted(tmp_path.iterdir()) == before


def test_a_named_pipe_or_a_device_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.json")
    for path in (tmp_path / "pipe.json", Path("/dev/null")):
        with pytest.raises(StudyError, match="is a named pipe, a device"):
            read_users_text(path)
    with pytest.raises(StudyError, match=r"pipe\.json is a named pipe"):
        files_of(tmp_path, tmp_path / "manifest.json")


def test_a_folder_that_cannot_be_written_to_is_named_before_any_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_only = tmp_path / "results"
    read_only.mkdir()
    monkeypatch.setattr(os, "access", lambda path, _mode: path != read_only)  # root may write
    refuse_read_only([tmp_path / "table.csv", tmp_path / "new/table.csv"])
    with pytest.raises(StudyError, match="results cannot be written to"):
        refuse_read_only([tmp_path / "table.csv", read_only / "new/folder/table.csv"])


def test_a_file_where_a_folder_should_be_is_named_before_any_job(tmp_path: Path) -> None:
    (tmp_path / "tables").touch()
    (tmp_path / "logs").symlink_to(tmp_path / "nowhere")
    for name in ("tables", "logs"):
        with pytest.raises(StudyError, match=f"{name} should be a folder but is"):
            refuse_read_only([tmp_path / name / "krs.parquet"])
