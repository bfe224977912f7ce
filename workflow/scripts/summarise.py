"""Summarise collected results in tables of their own, with intervals over concepts."""

from collections.abc import Sequence
from pathlib import Path

from stillknows.analysis.behaviour import summarise_behaviour, unrelated_scores
from stillknows.analysis.claims import CLAIM_SCORES, claims
from stillknows.analysis.comparisons import controls, reference, specificity
from stillknows.analysis.depth import depth_summary, read_depth, uds
from stillknows.analysis.statistics import statistics
from stillknows.analysis.tables import (
    DONOR,
    EVERY_SCORE,
    concept_scores,
    coverage,
    curves,
    disagreements,
)
from stillknows.csv_files import write_csv
from stillknows.job import run
from stillknows.parquet_files import ANSWER_SCHEMA, read_table
from stillknows.terms import NOISING_RATIO, SCORES


def main(
    *,
    source: Path,
    tables: list[Path],
    seed: int,
    behaviour: Sequence[Path] = (),
    unrelated: Path = Path(),
    missing: Sequence[dict[str, str]] = (),
    without_reference: Sequence[dict[str, str]] = (),
    windows: Sequence[str] = (),
) -> None:
    """Write the tables of these names, from tables/krs.parquet, answers.parquet or depth.parquet.

    Args:
        behaviour: of claims.csv: tables/behaviour.csv; empty if no questions were asked.
        unrelated: of specificity.csv: tables/krs_unrelated.parquet.
        missing: of coverage.csv, per sweep left out: its keys, reason and origin.
        without_reference: of depth.csv: model, origin and method of copies without a reference.
        windows: of claims.csv: the config's; the first sliding one serves all that name none.
    """
    summaries = {
        "behaviour": lambda: summarise_behaviour(read_table(source, ANSWER_SCHEMA)),
        "claims": lambda: claims(
            concept_scores(source, CLAIM_SCORES),
            windows,
            seed,
            unrelated_scores(*behaviour) if behaviour else None,
        ),
        "controls": lambda: controls(concept_scores(source), seed),
        "coverage": lambda: coverage(source, missing),
        "curves": lambda: curves(concept_scores(source), seed),
        "depth": lambda: depth_summary(read_depth(source), without_reference, seed),
        "disagreements": lambda: disagreements(source),
        "reference": lambda: reference(concept_scores(source, (*EVERY_SCORE, NOISING_RATIO)), seed),
        "scores": lambda: curves(concept_scores(source, EVERY_SCORE, donor=DONOR), seed),
        "specificity": lambda: specificity(
            concept_scores(source, SCORES), concept_scores(unrelated, SCORES), seed
        ),
        "statistics": lambda: statistics(concept_scores(source), seed),
        "uds": lambda: uds(read_depth(source)),
    }
    for table in tables:
        write_csv(table, summaries[table.stem]())


if __name__ == "__main__":
    run(main)
