"""Every score against layer, and the questions on which they differ most."""

from pathlib import Path

from dissect.analysis.curve_groups import DONOR
from dissect.analysis.disagreements import disagreements
from dissect.analysis.scores import EVERY_SCORE
from dissect.analysis.tables import concept_scores, curves
from dissect.job import job
from dissect.results.csv_files import write_csv


def main(*, table: Path, seed: int, scores: Path, differing: Path) -> None:
    """Write tables/scores.csv and tables/disagreements.csv from tables/krs.parquet.

    Args:
        seed: of the bootstrap.
    """
    write_csv(scores, curves(concept_scores(table, EVERY_SCORE, donor=DONOR), seed))
    write_csv(differing, disagreements(table))


if __name__ == "__main__":
    with job() as snakemake:
        main(
            table=Path(snakemake.input.table),
            seed=snakemake.params.seed,
            scores=Path(snakemake.output.scores),
            differing=Path(snakemake.output.differing),
        )
