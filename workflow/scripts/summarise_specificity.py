"""Set each score on the concepts' questions beside the same on unrelated ones."""

from pathlib import Path
from typing import Any

from stillknows.analysis.collect import collect_sweeps
from stillknows.analysis.specificity import specificity
from stillknows.analysis.tables import concept_scores
from stillknows.csv_files import write_csv
from stillknows.job import run
from stillknows.study.expected import check_results
from stillknows.terms import SCORES


def main(
    *,
    krs: Path,
    sweeps: list[Path],
    study: dict[str, Any],
    origins: dict[str, str],
    seed: int,
    rows: Path,
    table: Path,
) -> None:
    """Write tables/krs_unrelated.parquet and tables/specificity.csv.

    Args:
        krs: tables/krs.parquet, of the concepts' questions.
        sweeps: the sweeps' parquet files on unrelated questions.
        origins: Study.origins_apart.
        study: the parameter of study.expected.check_results.
        seed: of the bootstrap.
    """
    check_results(study)
    collect_sweeps(sweeps, rows, origins)
    target, unrelated = (concept_scores(one, SCORES) for one in (krs, rows))
    write_csv(table, specificity(target, unrelated, seed))


if __name__ == "__main__":
    run(main)
