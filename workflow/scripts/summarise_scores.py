"""Every score against layer, and the questions on which they differ most."""

from pathlib import Path

from stillknows.analysis.curve_groups import DONOR
from stillknows.analysis.disagreements import disagreements
from stillknows.analysis.scores import EVERY_SCORE
from stillknows.analysis.tables import concept_scores, curves
from stillknows.csv_files import write_csv
from stillknows.job import run


def main(*, krs: Path, seed: int, scores: Path, differing: Path) -> None:
    """Write tables/scores.csv and tables/disagreements.csv from tables/krs.parquet."""
    write_csv(scores, curves(concept_scores(krs, EVERY_SCORE, donor=DONOR), seed))
    write_csv(differing, disagreements(krs))


if __name__ == "__main__":
    run(main)
