"""Put the rows of all sweeps in one table, and list which sweeps are done or missing."""

from pathlib import Path
from typing import Any

from stillknows.analysis.collect import collect_sweeps, coverage
from stillknows.csv_files import write_csv
from stillknows.job import run
from stillknows.study.expected import check_results


def main(
    *,
    sweeps: list[Path],
    missing: list[dict[str, str]],
    study: dict[str, Any],
    table: Path,
    coverage_table: Path,
    origins: dict[str, str],
) -> None:
    """Write tables/krs.parquet and tables/coverage.csv.

    Args:
        sweeps: the sweeps' parquet files.
        missing: per sweep left out: model, method, concept, experiment, reason, origin.
        origins: Study.origins_apart.
        study: the parameter of study.expected.check_results.
    """
    check_results(study)
    collect_sweeps(sweeps, table, origins)
    write_csv(coverage_table, coverage(table, missing))


if __name__ == "__main__":
    run(main)
