"""Put all results of one kind, a file per checkpoint, in one table."""

from pathlib import Path
from typing import Any

from stillknows.analysis.collect import collect_answers, collect_self_patch, collect_weight_changes
from stillknows.answers.recall_table import recall_table
from stillknows.csv_files import write_csv
from stillknows.job import run
from stillknows.study.belonging import check_results, checkpoint_key


def main(
    *,
    results: list[Path],
    originals: list[Path],
    manifests: list[Path],
    texts: list[Path],
    study: dict[str, Any],
    table: Path,
    origins: dict[str, str],
) -> None:
    """Write tables/answers.parquet, weight_changes.csv, recall.csv or self_patch.csv.

    Args:
        originals: the original's answers, with which the others were compared.
        origins: Study.origins_apart.
        manifests, texts, study: see study.belonging.check_results.
    """
    files = [*originals, *results]
    check_results(files, checkpoint_key, manifests=manifests, texts=texts, study=study)
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
