"""Merge a LoRA adapter into the original, once: the checkpoint that the study goes on with."""

from pathlib import Path

from dissect.checkpoints.hashes import files_of, hash_files
from dissect.checkpoints.manifest import read_manifest, write_manifest
from dissect.files import atomic_folder
from dissect.inputs.rows import CheckpointRow
from dissect.job import job


def main(*, original: Path, row: CheckpointRow, manifest: Path) -> None:
    """Write the manifest, with the merged weights beside it.

    Args:
        original: manifest of the checkpoint that the adapter changes.
        row: the adapter's row; its location is the adapter's folder.
    """
    # Seconds of imports, and torch takes its threads from what the job has set.
    from dissect.checkpoints.adapter import merge_adapter

    source = Path(row.location)
    hashes = hash_files(files_of(source, manifest), {})
    with atomic_folder(manifest.parent) as folder:
        merge_adapter(source, read_manifest(original), folder)
    write_manifest(manifest, manifest.parent, row, adapter=hashes)


if __name__ == "__main__":
    with job() as snakemake:
        main(
            original=Path(snakemake.input.original),
            row=CheckpointRow(**snakemake.params.row),
            manifest=Path(snakemake.output.manifest),
        )
