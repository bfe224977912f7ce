"""Files that are either whole or not there."""

import errno
import glob
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Never

from stillknows.errors import StudyError

_ABANDONED = 24 * 3600  # seconds since the last write


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary name beside `path`; renamed to it at the end, removed after an exception.

    Two writers of one path never share a temporary name: the last one to finish wins. What a killed
    job left is removed by the next writer a day later. A full disk is a StudyError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.glob(f".{glob.escape(path.name)}.*.partial"):
        with suppress(FileNotFoundError):
            if time.time() - left.stat().st_mtime > _ABANDONED:
                left.unlink()
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent)
    os.close(handle)
    partial = Path(name)
    try:
        with _full_disk_in_one_line(path):
            yield partial
            _make_readable(partial)
            partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def atomic_folder(folder: Path) -> Iterator[Path]:
    """An empty folder beside `folder` to write in; takes its place when all is written.

    What a killed job left in it is cleared by the next one. A full disk is a StudyError.
    """
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        with _full_disk_in_one_line(folder):
            yield partial
            for file in partial.iterdir():
                _make_readable(file)
            shutil.rmtree(folder, ignore_errors=True)
            partial.replace(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def _full_disk_in_one_line(path: Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        number = getattr(error, "errno", None)
        # safetensors says it in words only.
        if number in (errno.ENOSPC, errno.EDQUOT) or os.strerror(errno.ENOSPC) in str(error):
            raise StudyError(
                f"no space left while writing {path}: "
                "nothing half-written is left; free some disk space and run again"
            ) from error
        raise


def free_bytes(folder: Path) -> int:
    """What is free on the disk of a folder, which need not exist yet."""
    return shutil.disk_usage(_existing(folder)).free


def refuse_read_only(files: Iterable[str | Path]) -> None:
    """Raise a StudyError that names the first of the files' folders which cannot be written to."""
    for folder in dict.fromkeys(Path(file).parent for file in files):
        existing = _existing(folder)
        if not existing.is_dir():
            raise StudyError(
                f"{existing} should be a folder but is a file or a broken link; move it, or name "
                "another results folder in the config"
            )
        if not os.access(existing, os.W_OK | os.X_OK):
            raise StudyError(
                f"{existing} cannot be written to; change its permissions, or name another results "
                "folder in the config"
            )


def _existing(path: Path) -> Path:
    """The path, or the nearest one above it where something is, even a broken link."""
    return next(p for p in (path, *path.absolute().parents) if os.path.lexists(p))


def _make_readable(file: Path) -> None:
    """As new files are: mkstemp and safetensors let their owner alone read them."""
    mask = os.umask(0)
    os.umask(mask)
    file.chmod(0o666 & ~mask)


def write_json(path: Path, value: Any) -> None:
    """Write a value as JSON, whole or not at all; paths become text."""
    text = json.dumps(value, indent=2, ensure_ascii=False, default=str)
    with atomic_path(path) as partial:
        partial.write_text(text + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def read_users_text(path: Path) -> str:
    """A text file of the user's, in UTF-8; it may begin with a byte order mark."""
    refuse_special(path)
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise StudyError(
            f"{path} cannot be read ({error.strerror}); check its name and permissions"
        ) from None
    except UnicodeDecodeError as error:
        raise StudyError(
            f"{path} is not a text file in UTF-8 (byte {error.start}); save it as text in UTF-8"
        ) from None


def refuse_special(path: Path) -> None:
    """Refuse a named pipe or a device where a user's file is expected: reading may never end."""
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise StudyError(
            f"{path} is a named pipe, a device or a socket; save its content as a plain file"
        )


def read_users_json(path: Path, **hooks: Any) -> Any:
    """The value in a JSON file of the user's; hooks are those of `json.loads`."""
    try:
        return json.loads(read_users_text(path), parse_constant=_refuse_constant, **hooks)
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else error
        raise StudyError(f"{path} is not valid JSON: {reason}; download or save it again") from None


def read_json_object(path: Path) -> dict[str, Any]:
    """`read_users_json` of a file that must hold an object."""
    value = read_users_json(path)
    if not isinstance(value, dict):
        raise StudyError(f"{path} does not hold a JSON object ({{...}}); download or save it again")
    return value


def _refuse_constant(name: str) -> Never:
    raise ValueError(f"{name} is not allowed in JSON")


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
