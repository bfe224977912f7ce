"""Print the error rates of the primary scores, over all kept rounds, as a table in Markdown.

    .venv/bin/python calibration/print_rates.py

docs/explanation/calibration.md has this table; a test compares them.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd
from make_study import TREATMENTS

from dissect.calibration.scores import SCORES
from dissect.calibration.table import ALL, INCLUDED, calibration_table, read_rounds
from dissect.report.error_rates import number_of, share_of
from dissect.report.formatting import NONE
from dissect.report.sources import records

ROUNDS = Path(__file__).parent / "rounds"
HEAD = ("score", "models", *TREATMENTS, "all", "false alarms", "power")


def rows_of(rounds: pd.DataFrame) -> Iterator[Sequence[str]]:
    """A row per primary score, of all models and of those whose state was confirmed.

    Its cells are those of HEAD: the AUC after each treatment and pooled, and the pooled rates.
    """
    primary = [spec for spec in SCORES if spec.primary]
    keys = ["score", "included", "treatment"]
    rows = records(calibration_table(rounds, scores=primary))
    table = {tuple(row[key] for key in keys): row for row in rows}
    for score in (spec.name for spec in primary):
        for included in INCLUDED:
            pooled = table.get((score, included, ALL))
            if pooled is not None:
                of_treatments = [table.get((score, included, one)) for one in TREATMENTS]
                yield [
                    f"`{score}`",
                    included,
                    *(NONE if row is None else number_of(row, "auc") for row in of_treatments),
                    number_of(pooled, "auc"),
                    share_of(pooled, "false_alarms", "n_never", "false_alarm_rate"),
                    share_of(pooled, "power_count", "n_knows", "power"),
                ]


def main() -> None:
    rounds = read_rounds(sorted(ROUNDS.glob("*.csv")))
    print(f"| {' | '.join(HEAD)} |\n|{'---|' * len(HEAD)}")
    for cells in rows_of(rounds):
        print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
