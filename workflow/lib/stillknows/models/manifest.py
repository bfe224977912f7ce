"""The manifest: one small file that says what a checkpoint is and that it was verified.

The files' sha256 are remembered in a hidden file beside it, with what os.stat said: each is hashed
once, and the manifest changes only when the content of the checkpoint does.
"""

import hashlib
import logging
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import pydantic.dataclasses
from pydantic import ConfigDict, TypeAdapter, ValidationError

from stillknows.errors import StudyError, reason_of
from stillknows.files import read_json, refuse_special, sha256_of, write_json
from stillknows.models.checkpoint_files import has_tokenizer
from stillknows.models.checkpoint_row import CheckpointRow
from stillknows.terms import ORIGINAL


@dataclass(frozen=True)
class Hashed:
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
        """Whether the file is the same for os.stat; its resolved path may differ elsewhere."""
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


log = logging.getLogger("stillknows")
SCHEMA = 2
_EXACTLY = ConfigDict(extra="forbid", strict=True)


@pydantic.dataclasses.dataclass(frozen=True, config=_EXACTLY)
class File:
    """One file of a checkpoint; size in bytes."""

    name: str
    size: int
    sha256: str


@pydantic.dataclasses.dataclass(frozen=True, config=_EXACTLY)
class Manifest:
    """What later jobs know of a checkpoint without hashing anything again."""

    schema: int
    model: str
    method: str
    concept: str
    source: str
    revision: str
    format: str
    origin: str
    folder: Path
    files: list[File]
    weights_sha256: str  # over the lines "<sha256>  <name>" of the safetensors files
    architecture: str
    layers: int
    parameters: int
    dtype: str
    training: dict[str, Any] | None = None  # recipe and outcome, if it was trained here
    fetched: list[str] = field(default_factory=list)  # downloaded here: no others are ever removed
    adapter: list[File] = field(default_factory=list)  # of the folder that was merged, if any
    tokenizer: str = ""  # as the table has it
    tokenizer_folder: Path | None = None  # of a tokenizer from another repository

    @property
    def label(self) -> str:
        """The checkpoint's name in messages."""
        return "/".join(part for part in (self.model, self.method, self.concept) if part)

    def columns(self, concept: Mapping[str, Any]) -> dict[str, str]:
        """What names the checkpoint and the concept, as its file has it, in a result's rows."""
        names = {name: getattr(self, name) for name in ("model", "method", "origin")}
        return names | {"concept": concept["id"], "concept_name": concept["Concept"]}


_MANIFEST = TypeAdapter(Manifest)


def write_manifest(
    path: Path,
    folder: Path,
    row: CheckpointRow,
    training: dict[str, Any] | None = None,
    *,
    hashes: Mapping[str, Hashed] | None = None,
    fetched: Sequence[str] = (),
    adapter: Mapping[str, Hashed] | None = None,
    tokenizer_folder: Path | None = None,
) -> Manifest:
    """Verify a checkpoint folder, hash its files (unless `hashes` has them), write its manifest."""
    # They import torch and transformers, which who only reads a manifest does not need.
    from stillknows.models.reader import Checkpoint
    from stillknows.models.verify import verify_checkpoint

    checkpoint = Checkpoint(folder)
    dtype = str(checkpoint.config.dtype).removeprefix("torch.")
    shapes = verify_checkpoint(checkpoint)
    log.info("%s: %d tensors, none missing, none unexpected, all finite", folder, len(shapes))
    if hashes is None:
        hashes = hash_files(files_of(folder, path), read_hashes(path))
    files, adapter = _files(hashes), adapter or {}
    weights = [file for file in files if file.name.endswith(".safetensors")]
    lines = "".join(f"{file.sha256}  {file.name}\n" for file in weights)
    manifest = Manifest(
        schema=SCHEMA,
        **asdict(row) | {"format": checkpoint.format},
        origin=row.origin,
        folder=folder,
        files=files,
        weights_sha256=hashlib.sha256(lines.encode()).hexdigest(),
        architecture=str(checkpoint.config.architectures[0]),
        layers=checkpoint.layers,
        parameters=sum(math.prod(shape) for shape in shapes.values()),
        dtype=dtype,
        training=training,
        fetched=list(fetched),
        adapter=_files(adapter),
        tokenizer_folder=tokenizer_folder,
    )
    write_json(path, asdict(manifest))
    write_hashes(path, {**hashes, **adapter})
    return manifest


def _files(hashes: Mapping[str, Hashed]) -> list[File]:
    files = [File(Path(name).name, hashed.size, hashed.sha256) for name, hashed in hashes.items()]
    return sorted(files, key=lambda file: file.name)


def write_new_source(path: Path, manifest: Manifest, row: CheckpointRow) -> None:
    """Write where a user's folder with the same files is now; no job runs again for it."""
    time = path.stat().st_mtime_ns
    folder = Path(row.location) if row.kind == "path" else manifest.folder
    write_json(path, asdict(replace(manifest, source=row.source, folder=folder)))
    os.utime(path, ns=(time, time))


def read_manifest(path: Path) -> Manifest:
    """Read a manifest; a StudyError if one of its files was removed or changed since."""
    manifest, remembered = parse_manifest(path), read_hashes(path)
    for file in manifest.files:
        named = manifest.folder / file.name
        expected = f"{file.size} bytes"
        if not named.is_file():
            actual = "is missing"
        elif (size := named.stat().st_size) != file.size:
            actual = f"has {size} bytes"
        else:
            hashed, expected = remembered.get(str(named)), file.sha256
            sha256 = hashed.sha256 if hashed and hashed.still_holds(named) else sha256_of(named)
            if sha256 == file.sha256:
                continue
            actual = f"has sha256 {sha256}"
        raise StudyError(
            f"{named} {actual}, but its manifest says {expected}; restore it, or delete {path} and "
            "run again"
        )
    return manifest


def tokenizer_folder(manifest: Manifest, original: Manifest | None = None) -> Path:
    """Where a checkpoint's tokenizer is: as the table says, else its own, else the original's."""
    if manifest.tokenizer_folder:
        return manifest.tokenizer_folder
    is_own = manifest.tokenizer != ORIGINAL and has_tokenizer(manifest.folder)
    if is_own or original is None or original.folder == manifest.folder:
        return manifest.folder
    log.info("%s: the original's tokenizer is used", manifest.label)
    return tokenizer_folder(original)


def parse_manifest(path: Path) -> Manifest:
    """Read a manifest alone; a StudyError if it is damaged."""
    try:
        manifest = _MANIFEST.validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise StudyError(
            f"{path} is not a checkpoint's manifest ({reason_of(error)}): delete it and run again"
        ) from error
    if manifest.source.startswith(("path:", "hub:")):
        return manifest
    # All other weights lie beside the manifest, in a folder that may have been moved since.
    return replace(manifest, folder=path.parent)


def manifest_if_present(manifest: str) -> Manifest | None:
    """As `parse_manifest`, or None if it was not written yet."""
    path = Path(manifest)
    return parse_manifest(path) if path.exists() else None


def files_are_present(manifest: Manifest) -> bool:
    """Whether all files of a manifest are where it says, with the sizes that it says."""
    files = [(manifest.folder / file.name, file.size) for file in manifest.files]
    return all(path.is_file() and path.stat().st_size == size for path, size in files)
