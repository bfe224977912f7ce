"""How like the original's the answers are: each concept's mean, per set and patch."""

from pathlib import Path

from stillknows.analysis.behaviour import summarise_behaviour
from stillknows.csv_files import write_csv
from stillknows.job import run
from stillknows.parquet_files import ANSWER_SCHEMA, read_table


def main(*, answers: Path, table: Path) -> None:
    """Write tables/behaviour.csv from tables/answers.parquet."""
    write_csv(table, summarise_behaviour(read_table(answers, ANSWER_SCHEMA)))


if __name__ == "__main__":
    run(main)
