"""Summarise tables/krs.parquet in another table, with intervals over concepts."""

from importlib import import_module
from pathlib import Path

from stillknows.analysis.scores import EVERY_SCORE
from stillknows.analysis.tables import concept_scores
from stillknows.csv_files import write_csv
from stillknows.job import run
from stillknows.terms import NOISING_RATIO

# The tables that are of other scores than KRS and the noising ratio.
OF_SCORES = {"reference": (*EVERY_SCORE, NOISING_RATIO)}


def main(*, krs: Path, part: str, seed: int, table: Path) -> None:
    """Write the table that stillknows.analysis has a function for, of the table's own name.

    Args:
        part: the module of stillknows.analysis that has it.
        seed: of the bootstrap.
    """
    summary = getattr(import_module(f"stillknows.analysis.{part}"), table.stem)
    scores = concept_scores(krs, OF_SCORES[part]) if part in OF_SCORES else concept_scores(krs)
    write_csv(table, summary(scores, seed))


if __name__ == "__main__":
    run(main)
