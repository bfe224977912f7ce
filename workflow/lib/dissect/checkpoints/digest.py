"""The hashes of a file's bytes, in the two kinds that the hub announces."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Self

_READ_BYTES = 8 << 20


@dataclass(frozen=True)
class RemoteFile:
    """One file as the hub announces it; size in bytes.

    `sha256` for files in large file storage; the others have their git `blob_id` alone.
    """

    name: str
    size: int
    sha256: str | None
    blob_id: str

    @property
    def etag(self) -> str:
        """The hash to expect, which is also the file's name among the cache's blobs."""
        return self.sha256 or self.blob_id


class Digest:
    """Hashes bytes as they come."""

    def __init__(self, file: RemoteFile) -> None:
        self.file = file
        self.size = 0
        self._sha256 = hashlib.sha256()
        # git hashes the size first, so it has to be known; large files need no second hash.
        self._git = None
        if file.sha256 is None:
            self._git = hashlib.sha1(b"blob %d\0" % file.size, usedforsecurity=False)

    @classmethod
    def of(cls, path: Path, file: RemoteFile) -> Self:
        """The digest of all that is in a file on disk."""
        digest = cls(file)
        with path.open("rb") as stream:
            while block := stream.read(_READ_BYTES):
                digest.update(block)
        return digest

    def update(self, block: bytes) -> None:
        self.size += len(block)
        self._sha256.update(block)
        if self._git is not None:
            self._git.update(block)

    @property
    def sha256(self) -> str:
        return self._sha256.hexdigest()

    @property
    def right(self) -> bool:
        """Whether these are the bytes that the hub announced."""
        found = self._sha256 if self._git is None else self._git
        return self.size == self.file.size and found.hexdigest() == self.file.etag

    @property
    def difference(self) -> str:
        """What is wrong, in a few words."""
        if self.size != self.file.size:
            return f"it has {self.size} bytes, the hub says {self.file.size}"
        kind, found = ("sha256", self._sha256) if self._git is None else ("git id", self._git)
        return f"its {kind} is {found.hexdigest()}, the hub says {self.file.etag}"
