"""The manifest: one small file that says what a checkpoint is and that it was verified."""

import hashlib
import logging
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, field, replace
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from stillknows.errors import StudyError, reason_of
from stillknows.files import sha256_of, write_json
from stillknows.models.checkpoint_row import CheckpointRow
from stillknows.models.hashes import Hashed, files_of, hash_files, read_hashes, write_hashes

log = logging.getLogger("stillknows")
SCHEMA = 2
# Their weights lie somewhere else than their manifest; all others' lie beside it.
_ELSEWHERE = ("path", "hub")
_EXACTLY = ConfigDict(extra="forbid", strict=True)


@dataclass(frozen=True, config=_EXACTLY)
class File:
    """One file of a checkpoint; size in bytes."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True, config=_EXACTLY)
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
) -> Manifest:
    """Verify a checkpoint folder (models.verify), hash its files, and write its manifest last.

    Args:
        hashes: of the files, where they are known: then nothing is hashed again, and other files in
            the folder do not count.
        adapter: the hashes of the adapter's files, from before they were merged.
    """
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
    """Read a manifest; a StudyError if one of its files was removed or changed since.

    A file is hashed if it is not as it was when it was hashed last: that takes a minute at 7B.
    """
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


def parse_manifest(path: Path) -> Manifest:
    """Read a manifest alone; a StudyError if it is damaged."""
    try:
        manifest = _MANIFEST.validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise StudyError(
            f"{path} is not a checkpoint's manifest ({reason_of(error)}): delete it and run again"
        ) from error
    if manifest.source.partition(":")[0] in _ELSEWHERE:
        return manifest
    # A results folder may have been moved or copied since.
    return replace(manifest, folder=path.parent)


def manifest_if_present(manifest: str) -> Manifest | None:
    """As `parse_manifest`, or None if it was not written yet."""
    path = Path(manifest)
    return parse_manifest(path) if path.exists() else None


def files_are_present(manifest: Manifest) -> bool:
    """Whether all files of a manifest are where it says, with the sizes that it says."""
    files = [(manifest.folder / file.name, file.size) for file in manifest.files]
    return all(path.is_file() and path.stat().st_size == size for path, size in files)
