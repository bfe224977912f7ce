"""Put all answers in one table."""

from collections.abc import Iterable
from pathlib import Path

from dissect.job import job
from dissect.results.behaviour import collect_answers


def main(*, answers: Iterable[Path], table: Path) -> None:
    """Write tables/answers.parquet.

    Raises:
        DissectError: see results.behaviour.collect_answers.
    """
    collect_answers(answers, table)


if __name__ == "__main__":
    with job() as snakemake:
        main(
            answers=[Path(path) for path in snakemake.input.answers],
            table=Path(snakemake.output.table),
        )
