"""The manifest: one small file that says what a checkpoint is and that it was verified."""

import hashlib
import logging
from dataclasses import asdict, dataclass
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
    `training` holds recipe and outcome where this workflow trained the checkpoint.
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

    @property
    def label(self) -> str:
        """The checkpoint's name in messages."""
        return "/".join(part for part in (self.model, self.method, self.concept) if part)


def write_manifest(
    path: Path, folder: Path, row: CheckpointRow, training: dict[str, Any] | None = None
) -> Manifest:
    """Verify a checkpoint folder, hash its files, and write its manifest, last and atomically.

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
    files = [
        File(item.name, item.stat().st_size, sha256_of(item))
        for item in sorted(folder.iterdir())
        if item.is_file() and item.resolve() != path.resolve() and not item.name.startswith(".")
    ]
    manifest = Manifest(
        schema=SCHEMA,
        **asdict(row),
        origin=row.origin,
        folder=folder,
        files=files,
        weights_sha256=_weights_sha256(files),
        architecture=str(checkpoint.config.architectures[0]),
        layers=checkpoint.layers,
        parameters=sum(_product(shape) for shape in shapes.values()),
        dtype=dtype,
        training=training,
    )
    write_json(path, asdict(manifest))
    return manifest


def read_manifest(path: Path) -> Manifest:
    """Read a manifest and check that its files are still there, in the sizes that it names.

    Raises:
        DissectError: if a file was removed or changed its size since the manifest was written.
    """
    raw = read_json(path)
    files = [File(**item) for item in raw["files"]]
    manifest = Manifest(**raw | {"folder": Path(raw["folder"]), "files": files})
    for file in manifest.files:
        there = manifest.folder / file.name
        size = there.stat().st_size if there.is_file() else None
        if size != file.size:
            seen = "is missing" if size is None else f"has {size} bytes"
            raise DissectError(
                f"{there} {seen}, its manifest says {file.size} bytes; "
                f"restore it, or delete {path} and run again"
            )
    return manifest


def _weights_sha256(files: list[File]) -> str:
    lines = [
        f"{file.sha256}  {file.name}\n" for file in files if file.name.endswith(".safetensors")
    ]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _product(shape: tuple[int, ...]) -> int:
    count = 1
    for size in shape:
        count *= size
    return count
