"""Put all results of one kind, a file per checkpoint, in one table."""

from pathlib import Path
from typing import Any

from stillknows.analysis.collect import collect_answers, collect_self_patch, collect_weight_changes
from stillknows.answers.recall_table import recall_table
from stillknows.csv_files import write_csv
from stillknows.job import run
from stillknows.study.expected import check_results


def main(
    *, results: list[Path], study: dict[str, Any], table: Path, origins: dict[str, str]
) -> None:
    """Write tables/answers.parquet, weight_changes.csv, recall.csv or self_patch.csv.

    Args:
        origins: Study.origins_apart.
        study: the parameter of study.expected.check_results.
    """
    check_results(study)
    if table.suffix == ".parquet":
        collect_answers(results, table, origins)
    elif table.name == "weight_changes.csv":
        write_csv(table, collect_weight_changes(results, origins))
    elif table.name == "recall.csv":
        write_csv(table, recall_table(results, origins))
    else:
        write_csv(table, collect_self_patch(results))


if __name__ == "__main__":
    run(main)
