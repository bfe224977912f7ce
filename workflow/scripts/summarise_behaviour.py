"""How like the original's the answers are: each concept's mean, per set and patch."""

from pathlib import Path

from dissect.analysis.behaviour import summarise_behaviour
from dissect.job import job
from dissect.results.csv_files import write_csv
from dissect.results.schema import ANSWER_SCHEMA, read_table


def main(*, answers: Path, output: Path) -> None:
    """Write tables/behaviour.csv from tables/answers.parquet."""
    write_csv(output, summarise_behaviour(read_table(answers, ANSWER_SCHEMA)))


if __name__ == "__main__":
    with job() as snakemake:
        main(
            answers=Path(snakemake.input.answers),
            output=Path(snakemake.output.behaviour),
        )
