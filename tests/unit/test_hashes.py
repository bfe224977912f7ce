"""The remembered hashes: what makes a file be hashed again."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from stillknows.files import sha256_of
from stillknows.models.manifest import files_of, hash_files, is_known, read_hashes, write_hashes


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "run1" / "model.safetensors"
    path.parent.mkdir()
    path.write_bytes(b"weights")
    return path


def test_a_file_as_it_was_is_not_hashed_again(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = hash_files([file], {})
    assert known[str(file)].sha256 == sha256_of(file)
    write_hashes(tmp_path / "manifest.json", known)
    assert read_hashes(tmp_path / "manifest.json") == known
    monkeypatch.delattr("stillknows.models.manifest.sha256_of")
    assert hash_files([file], known) == known


def replaced(file: Path) -> None:
    """By another one of the same size and time."""
    status = file.stat()
    other = file.with_name("other")
    other.write_bytes(b"WEIGHTS")
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    other.replace(file)


def moved_behind_a_link(file: Path) -> None:
    shutil.move(file.parent, file.parent.with_name("run2"))
    file.parent.symlink_to("run2")


CHANGES: dict[str, Callable[[Path], object]] = {
    "touched": os.utime,
    "edited": lambda file: file.write_bytes(b"other weights"),
    "replaced": replaced,
    "moved": moved_behind_a_link,
}


@pytest.mark.parametrize("change", CHANGES)
def test_any_difference_is_a_reason_to_hash_again(file: Path, change: str) -> None:
    known = hash_files([file], {})
    assert is_known(file, known)
    CHANGES[change](file)
    assert not is_known(file, known)
    assert hash_files([file], known)[str(file)].sha256 == sha256_of(file)


def test_hidden_files_and_the_manifest_do_not_count(file: Path) -> None:
    folder = file.parent
    for name in ("manifest.json", ".manifest.hashes.json", "chat_template.jinja"):
        (folder / name).touch()
    names = [path.name for path in files_of(folder, folder / "manifest.json")]
    assert names == ["chat_template.jinja", "model.safetensors"]
