"""Merge a LoRA adapter into the original: the study uses the merged checkpoint."""

from dataclasses import replace
from pathlib import Path

from stillknows.files import atomic_folder, read_json
from stillknows.job import run
from stillknows.models.checkpoint_row import CheckpointRow
from stillknows.models.manifest import files_of, hash_files, read_manifest, write_manifest


def main(
    *,
    original: Path,
    row: CheckpointRow,
    manifest: Path,
    source: str = "",
    downloaded: Path | None = None,
) -> None:
    """Write the merged weights, and their manifest last.

    The adapter's folder is named by `source`, or by the note `downloaded` of one from the hub.
    """
    # Not before the job has set the number of threads, which torch reads when it is imported.
    from stillknows.models.adapter import merge_adapter

    if downloaded:
        note = read_json(downloaded)
        row, adapter = replace(row, revision=note["commit"]), Path(note["folder"])
    else:
        row = replace(row, source=source)
        adapter = Path(row.location)
    hashes = hash_files(files_of(adapter, manifest), {})
    with atomic_folder(manifest.parent) as folder:
        merge_adapter(adapter, read_manifest(original), folder)
    write_manifest(manifest, manifest.parent, row, adapter=hashes)


if __name__ == "__main__":
    run(main)
