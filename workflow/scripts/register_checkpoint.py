"""Verify a checkpoint folder of the user's own, where it lies, and write its manifest."""

from dataclasses import replace
from pathlib import Path

from dissect.checkpoints.manifest import write_manifest
from dissect.inputs.rows import CheckpointRow
from dissect.job import run


def main(*, row: CheckpointRow, source: str, manifest: Path) -> None:
    """Write the manifest of the folder that `source` names, of a row without its source."""
    row = replace(row, source=source)
    write_manifest(manifest, Path(row.location), row)


if __name__ == "__main__":
    run(main)
