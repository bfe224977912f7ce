"""Put all answers in one table."""

from collections.abc import Iterable
from pathlib import Path

from dissect.analysis.collect import collect_answers
from dissect.job import job
from dissect.results.belonging import check_results, checkpoint_key


def main(*, answers: Iterable[Path], table: Path) -> None:
    """Write tables/answers.parquet.

    Raises:
        DissectError: see analysis.collect.collect_answers.
    """
    collect_answers(answers, table)


if __name__ == "__main__":
    with job() as snakemake:
        answers = [Path(path) for path in snakemake.input.answers]
        originals = [Path(path) for path in snakemake.input.originals]
        check_results(
            [*originals, *answers],
            checkpoint_key,
            manifests=snakemake.input.manifests,
            texts=snakemake.input.concepts,
            study=snakemake.params.study,
        )
        main(
            answers=answers,
            table=Path(snakemake.output.table),
        )
