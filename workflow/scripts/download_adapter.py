"""Download a LoRA adapter from the hub into its cache, and note where it is."""

from pathlib import Path

from stillknows.files import write_json
from stillknows.job import run
from stillknows.models.checkpoint_row import CheckpointRow


def main(*, row: CheckpointRow, threads: int, downloaded: Path) -> None:
    """Write the folder of the row's commit, and which commit that is."""
    # Not before the job has said that it may use the network.
    from stillknows.models import hub
    from stillknows.models.download import download

    done = download(row.location, row.revision, threads, needed=hub.adapter)
    write_json(downloaded, {"folder": str(done.folder), "commit": done.commit})


if __name__ == "__main__":
    run(main, network=True)
