"""The manifest: one small file that says what a checkpoint is and that it was verified."""

import hashlib
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from dissect.errors import DissectError
from dissect.files import read_json, sha256_of, write_json
from dissect.study.table import CheckpointRow

log = logging.getLogger("dissect")
SCHEMA = 1


@dataclass(frozen=True)
class File:
    """One file of a checkpoint; size in bytes."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What later jobs know of a checkpoint without hashing anything again.

    `weights_sha256` is the sha256 over the lines "<sha256>  <name>" of the safetensors files.
    `training` holds recipe and outcome where this workflow trained the checkpoint. `fetched` names
    the files that this workflow downloaded: no others are ever removed.
    """

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
    weights_sha256: str
    architecture: str
    layers: int
    parameters: int
    dtype: str
    training: dict[str, Any] | None = None
    fetched: list[str] = field(default_factory=list)

    @property
    def label(self) -> str:
        """The checkpoint's name in messages."""
        return "/".join(part for part in (self.model, self.method, self.concept) if part)


def write_manifest(
    path: Path,
    folder: Path,
    row: CheckpointRow,
    training: dict[str, Any] | None = None,
    *,
    sha256: Mapping[str, str] | None = None,
    fetched: Sequence[str] = (),
) -> Manifest:
    """Verify a checkpoint folder, hash its files, and write its manifest, last and atomically.

    Args:
        sha256: of the files by name, where they are known: then nothing is hashed again, and other
            files in the folder do not count.
        training, fetched: see Manifest.

    Raises:
        DissectError: if the checkpoint is not whole (see checkpoints.verify).
    """
    # torch and transformers take seconds to import, and who only reads a manifest needs neither.
    from dissect.checkpoints.reader import Checkpoint
    from dissect.checkpoints.verify import verify_checkpoint

    checkpoint = Checkpoint(folder)
    dtype = str(checkpoint.config.dtype).removeprefix("torch.")
    shapes = verify_checkpoint(checkpoint)
    log.info("%s: %d tensors, none missing, none left over, all finite", folder, len(shapes))
    hashes = sha256 or {item.name: sha256_of(item) for item in _files(folder, path)}
    files = [
        File(name, (folder / name).stat().st_size, value) for name, value in sorted(hashes.items())
    ]
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
    )
    write_json(path, asdict(manifest))
    return manifest


def read_manifest(path: Path) -> Manifest:
    """Read a manifest and check that its files are still there, in the sizes that it names.

    Raises:
        DissectError: if a file was removed or changed since the manifest was written, or the
            manifest does not agree with itself.
    """
    raw = read_json(path)
    files = [File(**item) for item in raw["files"]]
    manifest = Manifest(**raw | {"folder": Path(raw["folder"]), "files": files})
    if _weights_sha256(files) != manifest.weights_sha256:
        raise DissectError(
            f"{path}: the hashes of its files do not give its weights_sha256: it was changed by "
            "hand or damaged; delete it and run again"
        )
    written = path.stat().st_mtime_ns
    for file in manifest.files:
        seen = _difference(manifest.folder / file.name, file, written)
        if seen:
            raise DissectError(
                f"{manifest.folder / file.name} {seen}; restore it, or delete {path} and run again"
            )
    return manifest


def _difference(there: Path, file: File, written: int) -> str:
    """How a file differs from what its manifest says, "" if it does not.

    Only a file that was touched after its manifest is hashed again: that takes a minute at 7B.
    """
    if not there.is_file():
        return f"is missing, its manifest says {file.size} bytes"
    status = there.stat()
    if status.st_size != file.size:
        return f"has {status.st_size} bytes, its manifest says {file.size} bytes"
    if status.st_mtime_ns > written and (found := sha256_of(there)) != file.sha256:
        return f"has sha256 {found}, its manifest says {file.sha256}"
    return ""


def _files(folder: Path, manifest: Path) -> list[Path]:
    """A checkpoint's files; not its manifest, not what is hidden."""
    return [
        item
        for item in folder.iterdir()
        if item.is_file() and item.resolve() != manifest.resolve() and item.name[0] != "."
    ]


def _weights_sha256(files: list[File]) -> str:
    lines = [
        f"{file.sha256}  {file.name}\n" for file in files if file.name.endswith(".safetensors")
    ]
    return hashlib.sha256("".join(lines).encode()).hexdigest()
