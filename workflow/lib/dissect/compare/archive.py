"""Unpacking an archive that somebody sent: only what a comparison reads, and only as expected."""

import zipfile
from pathlib import Path, PurePosixPath
from stat import S_ISLNK

from dissect.archive.archive import MANIFEST
from dissect.errors import DissectError, reason_of
from dissect.files import sha256_of

# A sweep of a 32-layer model on ten questions takes about 70 kB; ten thousand, a third of this.
MOST_BYTES = 2 << 30
_READ = ("tables", "krs")


def unpack(path: Path, folder: Path) -> None:
    """Unpack the folders tables/ and krs/ of an archive, and compare them with its MANIFEST.sha256.

    An archive without a MANIFEST.sha256 is not compared with one. Symbolic links are left out.

    Raises:
        DissectError: if the archive is damaged or encrypted, is larger than MOST_BYTES, has a
            member outside of its folder, or has a member of another sha256 than it says.
        OSError: if it cannot be read, or the disk is full.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = _unpack_members(path, archive, folder)
    except (DissectError, OSError):
        raise
    # zipfile raises exceptions of many kinds, also those of each compression's own library.
    except Exception as error:
        raise DissectError(
            f"{path} cannot be unpacked ({reason_of(error)}): it is damaged, encrypted or not a "
            "zip archive; download it again, or give the results folder that it was made from"
        ) from error
    if MANIFEST in names:
        _refuse_edited(path, folder, names)


def _unpack_members(path: Path, archive: zipfile.ZipFile, folder: Path) -> list[str]:
    """Unpack what a comparison reads; return the names of what was unpacked."""
    for name in archive.namelist():
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise DissectError(
                f"{path}: member {name!r} would be unpacked outside of its folder; "
                "do not use this archive"
            )
    members = [one for one in archive.infolist() if _is_read(one)]
    size = sum(member.file_size for member in members)
    if size > MOST_BYTES:
        raise DissectError(
            f"{path} unpacks to {size / 1e9:.1f} GB of tables; at most {MOST_BYTES / 1e9:.1f} GB "
            "are unpacked for a comparison: if you trust it, unpack it and give the folder"
        )
    archive.extractall(folder, members)
    return [member.filename for member in members]


def _is_read(member: zipfile.ZipInfo) -> bool:
    """Whether it is the list of sha256, or a plain file in a folder that a comparison reads."""
    top, *rest = PurePosixPath(member.filename).parts or ("",)
    is_link = S_ISLNK(member.external_attr >> 16)
    is_table = top in _READ and bool(rest) and not is_link and not member.is_dir()
    return is_table or member.filename == MANIFEST


def _refuse_edited(path: Path, folder: Path, names: list[str]) -> None:
    lines = (folder / MANIFEST).read_text(encoding="utf-8", errors="replace").splitlines()
    listed = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    for name in names:
        if name != MANIFEST and sha256_of(folder / name) != listed.get(name):
            raise DissectError(
                f"{path}: {name} does not have the sha256 that {MANIFEST} gives: it was changed "
                "after the archive was made; get the archive again"
            )
