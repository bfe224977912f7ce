"""Several audits in one table and on one page, from their verdict.json files alone."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from stillknows.analysis.audit import VERDICT_JSON_VERSION
from stillknows.analysis.verdict import VERDICTS
from stillknows.errors import StudyError
from stillknows.files import read_json_object
from stillknows.report.page import filled
from stillknows.report.sources import records
from stillknows.report.verdicts import details, sentence

NAMES = ("model", "method", "concept")
NUMBERS = (
    *("verdict", "facts", "says", "knows", "exposed", "suppressed", "at_most", "power"),
    *("retained_recall", "confidence"),
)
HASHES = ("original_weights_sha256", "unlearned_weights_sha256", "data_sha256")
COLUMNS = ["audit", *NAMES, *NUMBERS, *HASHES, "sentence", "details"]


def leaderboard(files: Iterable[Path]) -> pd.DataFrame:
    """A row per copy of all audits, those that still know most first; no controls.

    Args:
        files: verdict.json each, or the folder of an audit, or its results.

    Returns:
        COLUMNS. audit: as it is given; sentence, details: the numbers in words.

    Raises:
        StudyError: for a file that is no verdict.json of this version.
    """
    rows: list[dict[str, Any]] = []
    for given in files:
        path = _verdict_json(given)
        content = read_json_object(path)
        if content.get("schema") != VERDICT_JSON_VERSION:
            raise StudyError(
                f"{path} has schema {content.get('schema')!r}; version {VERDICT_JSON_VERSION} is "
                "read: make the audit again with this version of the program"
            )
        for row in records(pd.DataFrame(content["verdicts"])):
            if not row["is_control"]:
                made_from = content["made_from"].get("/".join(row[name] for name in NAMES), {})
                words = {"sentence": sentence(row), "details": " ".join(details(row))}
                rows.append(row | made_from | words | {"audit": str(given)})
    table = pd.DataFrame(rows, columns=COLUMNS)
    order = table.assign(
        word=table["verdict"].map(VERDICTS.index),
        known=-table[["says", "knows"]].max(axis=1) / table["facts"],
    )
    return table.loc[order.sort_values(["word", "known", "audit", "method"]).index].reset_index(
        drop=True
    )


def _verdict_json(given: Path) -> Path:
    for path in (given, given / "verdict.json", given / "results" / "verdict.json"):
        if path.is_file():
            return path
    raise StudyError(f"{given} has no verdict.json; give the folder of an audit that has ended")


def leaderboard_page(table: pd.DataFrame) -> str:
    """A page that needs no other file; table: from `leaderboard`."""
    return filled("leaderboard.html", rows=records(table))
