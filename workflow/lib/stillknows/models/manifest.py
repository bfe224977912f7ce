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
        """What names the checkpoint and the concept in each row of a result.

        Args:
            concept: as its file has it: a reference model may serve all concepts, and have none.
        """
        of_checkpoint = {name: getattr(self, name) for name in ("model", "method", "origin")}
        return of_checkpoint | {"concept": concept["id"], "concept_name": concept["Concept"]}


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
    """Verify a checkpoint folder (checkpoints.verify), hash its files, and write its manifest last.

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
    files = _files(hashes)
    manifest = Manifest(
        schema=SCHEMA,
        **asdict(row) | {"format": checkpoint.format},
        origin=row.origin,
        folder=folder,
        files=files,
        weights_sha256=_weights_sha256(files),
        architecture=str(checkpoint.config.architectures[0]),
        layers=checkpoint.layers,
        parameters=sum(math.prod(shape) for shape in shapes.values()),
        dtype=dtype,
        training=training,
        fetched=list(fetched),
        adapter=_files(adapter or {}),
    )
    write_json(path, asdict(manifest))
    write_hashes(path, {**hashes, **(adapter or {})})
    return manifest


def write_new_source(path: Path, manifest: Manifest, row: CheckpointRow) -> None:
    """Write where a user's folder with the same files is now; the manifest's time stays.

    So no job runs again for it.
    """
    time = path.stat().st_mtime_ns
    folder = Path(row.location) if row.kind == "path" else manifest.folder
    write_json(path, asdict(replace(manifest, source=row.source, folder=folder)))
    os.utime(path, ns=(time, time))


def read_manifest(path: Path) -> Manifest:
    """Read a manifest; a StudyError if one of its files was removed or changed since."""
    manifest, remembered = parse_manifest(path), read_hashes(path)
    for file in manifest.files:
        named = manifest.folder / file.name
        difference = _difference(named, file, remembered.get(str(named)))
        if difference:
            raise StudyError(f"{named} {difference}; restore it, or delete {path} and run again")
    return manifest


def parse_manifest(path: Path) -> Manifest:
    """Read a manifest alone; a StudyError if it is damaged or does not agree with itself."""
    try:
        manifest = _MANIFEST.validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise StudyError(
            f"{path} is not a checkpoint's manifest ({reason_of(error)}): delete it and run again"
        ) from error
    if _weights_sha256(manifest.files) != manifest.weights_sha256:
        raise StudyError(
            f"{path}: the hashes of its files do not give its weights_sha256: it was changed by "
            "hand or damaged; delete it and run again"
        )
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


def _difference(path: Path, file: File, hashed: Hashed | None) -> str:
    """How a file differs from what its manifest says, "" if it does not.

    It is only hashed if it is not as it was when it was hashed last: that takes a minute at 7B.
    """
    if not path.is_file():
        return f"is missing, but its manifest says {file.size} bytes"
    if (size := path.stat().st_size) != file.size:
        return f"has {size} bytes, but its manifest says {file.size} bytes"
    sha256 = hashed.sha256 if hashed and hashed.still_holds(path) else sha256_of(path)
    if sha256 == file.sha256:
        return ""
    return f"has sha256 {sha256}, but its manifest says {file.sha256}"


def _files(hashes: Mapping[str, Hashed]) -> list[File]:
    files = [File(Path(name).name, hashed.size, hashed.sha256) for name, hashed in hashes.items()]
    return sorted(files, key=lambda file: file.name)


def _weights_sha256(files: list[File]) -> str:
    lines = [
        f"{file.sha256}  {file.name}\n" for file in files if file.name.endswith(".safetensors")
    ]
    return hashlib.sha256("".join(lines).encode()).hexdigest()
