"""Manifests without checkpoints: for what only reads them."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from stillknows.models.checkpoint_row import CheckpointRow
from stillknows.models.manifest import SCHEMA, File, Manifest


def plant_manifest(
    path: Path, row: CheckpointRow, folder: Path, sizes: Mapping[str, int], *, layers: int = 6
) -> Manifest:
    """Write a manifest of files of these sizes; files that are there are hashed, others are not."""
    files = [File(name, size, sha256_of(folder / name)) for name, size in sizes.items()]
    lines = [f"{file.sha256}  {file.name}\n" for file in files if "safetensors" in file.name]
    manifest = Manifest(
        schema=SCHEMA,
        **asdict(row),
        origin=row.origin,
        folder=folder,
        files=files,
        weights_sha256=hashlib.sha256("".join(lines).encode()).hexdigest(),
        architecture="LlamaForCausalLM",
        layers=layers,
        parameters=1,
        dtype="float32",
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asdict(manifest), default=str), encoding="utf-8")
    return manifest


def sha256_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes() if path.exists() else b"").hexdigest()
