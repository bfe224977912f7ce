"""Decide the paper's claims by the results of this study."""

from pathlib import Path

from stillknows.analysis.behaviour import unrelated_scores
from stillknows.analysis.claims import CLAIM_SCORES, claims
from stillknows.analysis.tables import concept_scores
from stillknows.csv_files import write_csv
from stillknows.job import run


def main(*, krs: Path, behaviour: list[Path], windows: list[str], seed: int, table: Path) -> None:
    """Write tables/claims.csv from tables/krs.parquet.

    Args:
        windows: the config's; the first sliding one serves all claims that name none.
        seed: of the bootstrap, and of the tests where not all signs are tried.
        behaviour: tables/behaviour.csv; empty if no questions were asked.
    """
    unrelated = unrelated_scores(*behaviour) if behaviour else None
    write_csv(table, claims(concept_scores(krs, CLAIM_SCORES), windows, seed, unrelated))


if __name__ == "__main__":
    run(main)
