"""What is known of the hub's checkpoints before anything is downloaded: preflight.csv."""

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from pydantic import TypeAdapter

from stillknows.errors import StudyError
from stillknows.files import atomic_path
from stillknows.models.checkpoint_row import CheckpointRow

AVAILABLE = "there"
# What a second try would not change. A hub that does not respond is not among them.
UNAVAILABLE = {
    "gated": "gated, and there is no token or it gives no access",
    "gone": "private or gone (the hub does not say which)",
    "revision_gone": "its revision is gone",
    "no_safetensors": "it lacks config.json or safetensors files (pickled weights are never read)",
    "unknown_family": "its model family is not known",
}


class PreflightRow(NamedTuple):
    """One row of preflight.csv.

    `status` is there, a key of UNAVAILABLE, or: bad_token, unreachable, busy (the hub),
    missing (a path: folder), later (a wheel, or to be trained here: nothing to look at yet).
    `bytes` is the size of the files that would be downloaded.
    """

    model: str
    method: str
    concept: str
    source: str
    revision: str
    status: str
    commit: str = ""
    gated: str = ""
    format: str = ""
    family: str = ""
    files: int = 0
    bytes: int = 0
    note: str = ""

    def is_about(self, row: CheckpointRow) -> bool:
        """Whether it is about this row as the table has it now."""
        return (self.source, self.revision) == (row.source, row.revision)


def write_preflight(path: Path, preflight: Iterable[PreflightRow]) -> None:
    """Write preflight.csv, whole or not at all."""
    with atomic_path(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([PreflightRow._fields, *preflight])


def read_preflight(path: Path) -> dict[tuple[str, str, str], PreflightRow]:
    """The rows of preflight.csv, by model, method and concept; {} if it was not written yet."""
    if not path.exists():
        return {}
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = TypeAdapter(list[PreflightRow]).validate_python(list(csv.DictReader(file)))
    except (ValueError, csv.Error) as error:
        raise StudyError(
            f"{path} is damaged or was edited; delete it and run snakemake preflight"
        ) from error
    return {row[:3]: row for row in rows}
