"""Verify a checkpoint folder of the user's own, where it lies, and write its manifest."""

from dataclasses import replace
from pathlib import Path

from stillknows.job import run
from stillknows.models.checkpoint_row import CheckpointRow
from stillknows.models.manifest import write_manifest


def main(*, row: CheckpointRow, source: str, manifest: Path) -> None:
    """Write the manifest of the folder that `source` names, of a row without its source."""
    row = replace(row, source=source)
    write_manifest(manifest, Path(row.location), row)


if __name__ == "__main__":
    run(main)
