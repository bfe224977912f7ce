"""Unpacking an archive that somebody sent: only what a comparison reads, and only as expected."""

import lzma
import shutil
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from stat import S_ISLNK

from dissect.archive.archive import MANIFEST
from dissect.errors import DissectError, reason_of
from dissect.files import sha256_of

# A sweep of a 32-layer model on ten questions takes about 70 kB; ten thousand, a third of this.
MOST_BYTES = 2 << 30
_READ = ("tables", "krs")
# What the standard library raises for archives that are damaged, encrypted or packed by a method
# that it does not know.
_DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
)


def unpack(path: Path, folder: Path) -> None:
    """Unpack the folders tables/ and krs/ of an archive, and compare them with its MANIFEST.sha256.

    An archive without a MANIFEST.sha256 is not compared with one. Symbolic links are left out.

    Raises:
        DissectError: if the archive is damaged or encrypted, is larger than MOST_BYTES, has a
            member outside of its folder, or has a member of another sha256 than it says.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            _refuse_outside(path, members)
            wanted = [one for one in members if one.filename == MANIFEST or _is_read(one)]
            _refuse_large(path, sum(one.file_size for one in wanted))
            for member in wanted:
                target = folder / member.filename
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(member) as packed, target.open("wb") as file:
                    shutil.copyfileobj(packed, file)
    except _DAMAGED as error:
        raise DissectError(
            f"{path} cannot be unpacked ({reason_of(error)}): it is damaged, encrypted or no zip "
            "archive; get it again, or give the results folder that it was made from"
        ) from error
    if (folder / MANIFEST).exists():
        _refuse_edited(path, folder, [one.filename for one in wanted if one.filename != MANIFEST])


def _is_read(member: zipfile.ZipInfo) -> bool:
    """Whether it is a plain file in one of the folders that a comparison reads."""
    top, *rest = PurePosixPath(member.filename).parts or ("",)
    is_link = S_ISLNK(member.external_attr >> 16)
    return top in _READ and bool(rest) and not is_link and not member.is_dir()


def _refuse_outside(path: Path, members: list[zipfile.ZipInfo]) -> None:
    for member in members:
        name = PurePosixPath(member.filename)
        if name.is_absolute() or ".." in name.parts:
            raise DissectError(
                f"{path}: member {member.filename!r} would be unpacked outside of its folder; "
                "allowed are names inside of it: do not use this archive"
            )


def _refuse_large(path: Path, size: int) -> None:
    if size > MOST_BYTES:
        raise DissectError(
            f"{path} unpacks to {size / 1e9:.1f} GB of tables; at most {MOST_BYTES / 1e9:.1f} GB "
            "are unpacked for a comparison: if you trust it, unpack it and give the folder"
        )


def _refuse_edited(path: Path, folder: Path, names: list[str]) -> None:
    lines = (folder / MANIFEST).read_text(encoding="utf-8", errors="replace").splitlines()
    listed = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    for name in names:
        if sha256_of(folder / name) != listed.get(name):
            raise DissectError(
                f"{path}: {name} does not have the sha256 that {MANIFEST} gives: it was changed "
                "after the archive was made; get the archive again"
            )
