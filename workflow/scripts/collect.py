"""Put all results of one kind, a file per checkpoint or sweep, in one table."""

from pathlib import Path
from typing import Any

from stillknows.analysis.collect import (
    collect_answers,
    collect_depth,
    collect_self_patch,
    collect_sweeps,
    collect_weight_changes,
)
from stillknows.analysis.utility import utility_table
from stillknows.answers.recall_table import recall_table
from stillknows.csv_files import write_csv
from stillknows.job import run
from stillknows.study.expected import check_results


def main(
    *,
    results: list[Path],
    reference: str | None,
    study: dict[str, Any],
    table: Path,
    origins: dict[str, str],
) -> None:
    """Write the table of this name; origins: Study.origins_in_tables; study: for check_results."""
    check_results(study)
    if table.stem in ("krs", "krs_unrelated"):
        collect_sweeps(results, table, origins)
    elif table.stem == "answers":
        collect_answers(results, table, origins)
    elif table.stem == "depth":
        collect_depth(results, table, reference)
    elif table.stem == "weight_changes":
        write_csv(table, collect_weight_changes(results, origins))
    elif table.stem == "recall":
        write_csv(table, recall_table(results, origins))
    elif table.stem == "utility":
        write_csv(table, utility_table(results, origins))
    else:
        write_csv(table, collect_self_patch(results))


if __name__ == "__main__":
    run(main)
