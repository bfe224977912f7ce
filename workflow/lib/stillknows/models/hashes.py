"""The sha256 of a checkpoint's files, remembered with what os.stat said: each is hashed once.

They lie beside the manifest, in a hidden file: the manifest itself changes only when the content of
the checkpoint does, so a file that was touched, copied or moved is no reason to compute again.
"""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Self

from stillknows.files import read_json, refuse_special, sha256_of, write_json


@dataclass(frozen=True)
class Hashed:
    """A file as it was when it was hashed."""

    path: str  # absolute, with links resolved
    size: int  # bytes
    mtime_ns: int
    inode: int
    sha256: str

    @classmethod
    def of(cls, path: Path, sha256: str | None = None) -> Self:
        """A file as it is now, hashed unless its sha256 is known."""
        # Before the hash: what changes meanwhile is noticed the next time.
        status = path.stat()
        unhashed = cls(str(path.resolve()), status.st_size, status.st_mtime_ns, status.st_ino, "")
        return replace(unhashed, sha256=sha256 or sha256_of(path))

    def still_holds(self, path: Path) -> bool:
        """Whether the file at a path is the same for os.stat.

        The resolved path is left out: on a compute node it may begin with another mount point.
        """
        return replace(Hashed.of(path, self.sha256), path=self.path) == self


def read_hashes(manifest: Path) -> dict[str, Hashed]:
    """The hashes that are remembered beside a manifest, by path; none if they cannot be read."""
    with suppress(OSError, ValueError, TypeError, AttributeError, RecursionError):
        return {name: Hashed(**values) for name, values in read_json(_beside(manifest)).items()}
    return {}


def write_hashes(manifest: Path, hashes: Mapping[str, Hashed]) -> None:
    """Remember hashes beside a manifest. Where nothing can be written, nothing is remembered."""
    with suppress(OSError):
        write_json(_beside(manifest), {name: asdict(hashed) for name, hashed in hashes.items()})


def hash_files(paths: Iterable[Path], remembered: Mapping[str, Hashed]) -> dict[str, Hashed]:
    """The hashes of files by their paths; only those that have changed since are hashed again."""
    return {
        str(path): remembered[str(path)] if is_known(path, remembered) else Hashed.of(path)
        for path in paths
    }


def is_known(path: Path, remembered: Mapping[str, Hashed]) -> bool:
    """Whether a file's remembered hash is still right: same path, and the same for os.stat."""
    hashed = remembered.get(str(path))
    return hashed is not None and hashed == Hashed.of(path, hashed.sha256)


def files_of(folder: Path, manifest: Path) -> list[Path]:
    """A folder's files but for the manifest and hidden ones; refuses what is no plain file."""
    itself = manifest.name if folder.resolve() == manifest.parent.resolve() else None
    paths = [path for path in folder.iterdir() if path.name[0] != "." and path.name != itself]
    for path in paths:
        refuse_special(path)
    return sorted(path for path in paths if path.is_file())


def _beside(manifest: Path) -> Path:
    return manifest.with_name(f".{manifest.stem}.hashes.json")
