"""Which GPU of this machine a job has: Snakemake counts GPUs, but names none to a job."""

import fcntl
import logging
import os
import tempfile
from pathlib import Path
from typing import IO

from stillknows.errors import StudyError

log = logging.getLogger("stillknows")

VISIBLE = "CUDA_VISIBLE_DEVICES"
_held: list[IO[str]] = []  # open as long as the process lives, so that a killed job frees its card


def take_card(folder: Path | None = None) -> None:
    """Show one GPU to this process, which no other job on this machine has; before torch is loaded.

    The cards are those of CUDA_VISIBLE_DEVICES, or all. Nothing is done with fewer than two.

    Args:
        folder: of the files that jobs lock, one per card.

    Raises:
        StudyError: if all cards are taken.
    """
    cards = _cards()
    if len(cards) < 2:
        return
    folder = folder or Path(tempfile.gettempdir()) / f"stillknows_cards_{os.getuid()}"
    folder.mkdir(exist_ok=True)
    for card in cards:
        file = (folder / f"{card}.lock").open("w")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            continue
        _held.append(file)
        os.environ[VISIBLE] = card
        log.info("GPU %s of %s", card, ", ".join(cards))
        return
    raise StudyError(
        f"all {len(cards)} GPUs are taken by other jobs; allow as many jobs as there are GPUs: "
        f"--resources gpu={len(cards)}"
    )


def _cards() -> list[str]:
    if (visible := os.environ.get(VISIBLE)) is not None:
        return [card.strip() for card in visible.split(",") if card.strip()]
    return sorted(path.name.removeprefix("nvidia") for path in Path("/dev").glob("nvidia[0-9]*"))
