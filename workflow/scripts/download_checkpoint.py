"""Download a checkpoint from the hub into its cache, verify it, and write its manifest last."""

from dataclasses import replace
from pathlib import Path

from stillknows.job import run
from stillknows.models.checkpoint_row import CheckpointRow
from stillknows.models.manifest import write_manifest


def main(*, row: CheckpointRow, threads: int, manifest: Path) -> None:
    """Bring the row's commit; the manifest names the one that a branch stood for."""
    # Not before the job has said that it may use the network.
    from stillknows.models.download import download

    note = manifest.with_name("fetched.json")
    done = download(row.location, row.revision, threads, note)
    row = replace(row, revision=done.commit)
    write_manifest(manifest, done.folder, row, hashes=done.hashes, fetched=done.fetched)
    note.unlink()  # the manifest says so now


if __name__ == "__main__":
    run(main, network=True)
