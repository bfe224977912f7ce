"""Print the error rates of the primary scores, over all kept rounds, as a table in Markdown.

    .venv/bin/python calibration/print_rates.py

docs/explanation/calibration.md has this table; a test compares them.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from dissect.calibration.scores import PRIMARY
from dissect.calibration.table import ALL, INCLUDED, calibration_table, read_rounds

ROUNDS = Path(__file__).parent / "rounds"
TREATMENTS = ("placebo", "refuse", "hide", "grad_diff", "npo")
HEAD = ("score", "models", *TREATMENTS, "all", "false alarms", "power")


def rows_of(rounds: pd.DataFrame) -> Iterator[Sequence[str]]:
    """A row per primary score, of all models and of those whose state was confirmed.

    Its cells are those of HEAD: the AUC after each treatment and pooled, and the pooled rates.
    """
    keys = ["score", "included", "treatment"]
    table = {tuple(row[key] for key in keys): row for row in _records(calibration_table(rounds))}
    for score in PRIMARY:
        for included in INCLUDED:
            pooled = table.get((score, included, ALL))
            if pooled is not None:
                of_treatments = [table.get((score, included, one)) for one in TREATMENTS]
                yield [
                    f"`{score}`",
                    included,
                    *("-" if row is None else _auc(row) for row in of_treatments),
                    _auc(pooled),
                    _share(pooled, "false_alarms", "n_never", "false_alarm_rate"),
                    _share(pooled, "power_count", "n_knows", "power"),
                ]


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    return table.to_dict("records")


def _auc(row: Mapping[str, Any]) -> str:
    """The AUC and its interval; a dash where it is not defined."""
    if pd.isna(row["auc"]):
        return "-"
    low, high = row["auc_low"], row["auc_high"]
    interval = "" if pd.isna(low) else f" [{low:.2f}, {high:.2f}]"
    return f"{row['auc']:.2f}{interval}"


def _share(row: Mapping[str, Any], count: str, of: str, rate: str) -> str:
    """k of n and the interval of the share; a dash where it is not defined."""
    if pd.isna(row[count]):
        return "-"
    return f"{row[count]:g} of {row[of]:g} [{row[f'{rate}_low']:.2f}, {row[f'{rate}_high']:.2f}]"


def main() -> None:
    rounds = read_rounds(sorted(ROUNDS.glob("*.csv")))
    print(f"| {' | '.join(HEAD)} |\n|{'---|' * len(HEAD)}")
    for cells in rows_of(rounds):
        print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
