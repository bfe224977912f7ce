"""Put the rows of all sweeps in one table, and list which sweeps are done or missing."""

from pathlib import Path
from typing import Any

from stillknows.analysis.collect import collect_sweeps, coverage
from stillknows.csv_files import write_csv
from stillknows.job import run
from stillknows.study.belonging import check_results, sweep_key


def main(
    *,
    sweeps: list[Path],
    missing: list[dict[str, str]],
    manifests: list[Path],
    texts: list[Path],
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
        manifests, texts, study: see study.belonging.check_results.
    """
    check_results(sweeps, sweep_key, manifests=manifests, texts=texts, study=study)
    collect_sweeps(sweeps, table, origins)
    write_csv(coverage_table, coverage(table, missing))


if __name__ == "__main__":
    run(main)
