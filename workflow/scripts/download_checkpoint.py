"""Download a checkpoint from the hub into its cache, verify it, and write its manifest last."""

from dataclasses import replace
from pathlib import Path

from stillknows.job import run
from stillknows.models.checkpoint_row import CheckpointRow
from stillknows.models.manifest import write_manifest


def main(*, row: CheckpointRow, threads: int, manifest: Path) -> None:
    """Bring the row's commit; the manifest names the one that a branch stood for."""
    # Not before the job has said that it may use the network.
    from stillknows.models import hub
    from stillknows.models.download import download

    note, tokenizer = manifest.with_name("fetched.json"), None
    if row.tokenizer.startswith("hub:"):
        repo, _, revision = row.tokenizer.removeprefix("hub:").partition("@")
        tokenizer = download(repo, revision, threads, needed=hub.tokenizer).folder
    done = download(row.location, row.revision, threads, note)
    write_manifest(
        manifest,
        done.folder,
        replace(row, revision=done.commit),
        hashes=done.hashes,
        fetched=done.fetched,
        tokenizer_folder=tokenizer,
    )
    note.unlink()  # the manifest says so now


if __name__ == "__main__":
    run(main, network=True)
