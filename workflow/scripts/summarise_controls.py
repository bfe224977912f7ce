"""Average what the controls give back, beside the original."""

from pathlib import Path

from dissect.analysis.controls import controls
from dissect.analysis.tables import concept_scores
from dissect.job import job
from dissect.results.csv_files import write_csv


def main(*, table: Path, seed: int, output: Path) -> None:
    """Write tables/controls.csv from tables/krs.parquet; the seed is the bootstrap's."""
    write_csv(output, controls(concept_scores(table), seed))


if __name__ == "__main__":
    with job() as snakemake:
        main(
            table=Path(snakemake.input.table),
            seed=snakemake.params.seed,
            output=Path(snakemake.output.controls),
        )
