"""Peaks, differences and the last layer's share, with intervals over concepts."""

from pathlib import Path

from dissect.analysis.statistics import statistics
from dissect.analysis.tables import concept_scores
from dissect.job import run
from dissect.results.csv_files import write_csv


def main(*, krs: Path, seed: int, table: Path) -> None:
    """Write tables/statistics.csv from tables/krs.parquet; the seed is the bootstrap's."""
    write_csv(table, statistics(concept_scores(krs), seed))


if __name__ == "__main__":
    run(main)
