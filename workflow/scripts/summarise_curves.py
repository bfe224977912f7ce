"""Average all rows to curves against layer, with intervals over concepts."""

from pathlib import Path

from dissect.analysis.tables import concept_scores, curves
from dissect.job import job
from dissect.results.csv_files import write_csv


def main(*, table: Path, seed: int, output: Path) -> None:
    """Write tables/curves.csv from tables/krs.parquet; the seed is the bootstrap's."""
    write_csv(output, curves(concept_scores(table), seed))


if __name__ == "__main__":
    with job() as snakemake:
        main(
            table=Path(snakemake.input.table),
            seed=snakemake.params.seed,
            output=Path(snakemake.output.curves),
        )
