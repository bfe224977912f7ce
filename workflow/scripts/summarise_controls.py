"""Average what the controls give back, beside the original."""

from pathlib import Path

from dissect.analysis.controls import controls
from dissect.analysis.tables import concept_scores
from dissect.job import run
from dissect.results.csv_files import write_csv


def main(*, krs: Path, seed: int, table: Path) -> None:
    """Write tables/controls.csv from tables/krs.parquet; the seed is the bootstrap's."""
    write_csv(table, controls(concept_scores(krs), seed))


if __name__ == "__main__":
    run(main)
