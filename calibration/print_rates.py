"""Print the error rates of the primary scores, over all kept rounds, as a table in Markdown.

    .venv/bin/python calibration/print_rates.py

docs/explanation/calibration.md has this table; a test compares them.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from dissect.calibration.scores import PRIMARY
from dissect.calibration.table import ALL, ALL_ROUNDS, calibration_table, read_rounds

ROUNDS = Path(__file__).parent / "rounds"
HEAD = ("score", "models after", "AUC", "false alarms", "power")


def rows_of(rounds: pd.DataFrame) -> Iterator[tuple[str, ...]]:
    """A row per primary score and treatment, of all models, and of confirmed ones pooled."""
    table = calibration_table(rounds)
    is_shown = (table["included"] == ALL_ROUNDS) | (table["treatment"] == ALL)
    table = table[table["primary"] & is_shown & table["auc"].notna()]
    order = {name: number for number, name in enumerate(PRIMARY)}
    table = table.sort_values("score", key=lambda names: names.map(order), kind="stable")
    for row in table.to_dict("records"):
        yield (
            f"`{row['score']}`",
            _models(row),
            _with_interval(row, "auc"),
            _share(row, "false_alarms", "n_never", "false_alarm_rate"),
            _share(row, "power_count", "n_knows", "power"),
        )


def _models(row: Mapping[str, Any]) -> str:
    """Which models are counted."""
    if row["treatment"] != ALL:
        return str(row["treatment"])
    return "all" if row["included"] == ALL_ROUNDS else "all, state confirmed"


def _with_interval(row: Mapping[str, Any], name: str) -> str:
    """A number between 0 and 1 and its interval; a dash where it is not defined."""
    if pd.isna(row[name]):
        return "-"
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    interval = "" if pd.isna(low) else f" [{low:.2f}, {high:.2f}]"
    return f"{row[name]:.2f}{interval}"


def _share(row: Mapping[str, Any], count: str, of: str, rate: str) -> str:
    """k of n and the interval of the share; a dash where it is not defined."""
    if pd.isna(row[count]):
        return "-"
    return f"{row[count]:g} of {row[of]:g} [{row[f'{rate}_low']:.2f}, {row[f'{rate}_high']:.2f}]"


def markdown(rows: Iterable[tuple[str, ...]]) -> str:
    """The rows with their head."""
    lines = [HEAD, ("---",) * len(HEAD), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def main() -> None:
    print(markdown(rows_of(read_rounds(sorted(ROUNDS.glob("*.csv"))))))


if __name__ == "__main__":
    main()
