"""What is known of the hub's checkpoints before anything is downloaded: preflight.csv."""

import csv
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from pydantic import TypeAdapter

from dissect.files import atomic_path
from dissect.inputs.rows import CheckpointRow

AVAILABLE = "there"
# What a second try would not change. A hub that does not respond is not among them.
UNAVAILABLE = {
    "gated": "gated, and the token at hand does not open it",
    "gone": "private or gone (the hub does not say which)",
    "revision_gone": "its revision is gone",
    "no_safetensors": "it has no safetensors files (pickled weights are never read)",
    "unknown_family": "its model family is not known",
}


@dataclass(frozen=True)
class PreflightRow:
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

    @property
    def name(self) -> str:
        """How messages call the row."""
        return " ".join(filter(None, (self.model, self.method, self.concept)))

    def is_about(self, row: CheckpointRow) -> bool:
        """Whether it is about this row as the table has it now."""
        return (self.source, self.revision) == (row.source, row.revision)


def write_preflight(path: Path, preflight: Iterable[PreflightRow]) -> None:
    """Write preflight.csv, whole or not at all."""
    names = [column.name for column in fields(PreflightRow)]
    with atomic_path(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(row) for row in preflight)


def read_preflight(path: Path) -> dict[tuple[str, str, str], PreflightRow]:
    """The rows of preflight.csv, by model, method and concept; {} if it was not written yet."""
    if not path.exists():
        return {}
    with path.open(encoding="utf-8", newline="") as file:
        values = list(csv.DictReader(file))
    rows = TypeAdapter(list[PreflightRow]).validate_python(values)
    return {(row.model, row.method, row.concept): row for row in rows}
