"""What the hub stand-in keeps: faults on order, requests answered, repositories served."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

LFS_SUFFIXES = (".safetensors", ".bin", ".pt", ".gguf", ".model")
LFS_SIZE = 1 << 20


@dataclass(frozen=True)
class Status:
    """An answer with this status and no body, such as 429 or 503."""

    code: int
    retry_after: int | str | None = None


@dataclass(frozen=True)
class Cut:
    """The connection ends after so many bytes of the body, short of the announced length."""

    after_bytes: int


@dataclass(frozen=True)
class Stall:
    """After so many bytes of the body nothing comes for so many seconds; then the rest does."""

    after_bytes: int
    seconds: float


@dataclass(frozen=True)
class WrongBytes:
    """As many bytes as announced, the last of them another one."""


@dataclass(frozen=True)
class Truncated:
    """Half of the bytes, announced as if they were all."""


@dataclass(frozen=True)
class WrongSha256:
    """Metadata with another digest than the file's. Stands until it is taken out of the list."""


Fault = Status | Cut | Stall | WrongBytes | Truncated | WrongSha256


@dataclass
class Request:
    """One answered request."""

    method: str
    path: str
    range: str
    status: int
    server: str  # hub, or cdn
    authorized: bool  # came with an Authorization header
    repo: str
    file: str
    sent: int = 0  # bytes of the body


@dataclass(frozen=True)
class File:
    """A file of a repository, with what git and LFS know of it."""

    name: str
    path: Path
    size: int
    sha256: str
    blob_id: str  # of an LFS file: its pointer's
    pointer_size: int | None  # None: not in LFS


@dataclass(frozen=True)
class Repository:
    """A model repository: branches and commits, and the files of each commit."""

    name: str
    gated: bool
    private: bool
    commits: dict[str, str]  # by branch
    files: dict[str, dict[str, File]]  # by commit, by name


def read_file(folder: Path, path: Path) -> File:
    content = path.read_bytes()
    sha256 = hashlib.sha256(content).hexdigest()
    pointer_size = None
    if path.suffix in LFS_SUFFIXES or len(content) > LFS_SIZE:
        size = len(content)
        content = b"version https://git-lfs.github.com/spec/v1\n"
        content += f"oid sha256:{sha256}\nsize {size}\n".encode()
        pointer_size = len(content)
    blob_id = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    name = path.relative_to(folder).as_posix()
    return File(name, path, path.stat().st_size, sha256, blob_id, pointer_size)
