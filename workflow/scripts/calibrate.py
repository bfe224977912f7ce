"""Put the rounds of this study and of others together: how often is each score wrong?"""

from pathlib import Path

from stillknows.analysis.calibration.table import calibration_table, read_rounds
from stillknows.csv_files import write_csv
from stillknows.job import run


def main(*, finished: list[Path], seed: int, rounds: Path, table: Path) -> None:
    """Write tables/rounds.csv (a row per model) and tables/calibration.csv (a row per score)."""
    models = read_rounds(sorted(finished, key=lambda path: path.name))
    write_csv(rounds, models)
    write_csv(table, calibration_table(models, seed))


if __name__ == "__main__":
    run(main)
