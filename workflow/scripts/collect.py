"""Put all results of one kind, a file per checkpoint, in one table."""

from pathlib import Path
from typing import Any

from dissect.analysis.collect import collect_answers, collect_self_patch, collect_weight_changes
from dissect.job import run
from dissect.results.belonging import check_results, checkpoint_key
from dissect.results.csv_files import write_csv

COLLECTED = {"self_patch.csv": collect_self_patch, "weight_changes.csv": collect_weight_changes}


def main(
    *,
    results: list[Path],
    originals: list[Path],
    manifests: list[Path],
    texts: list[Path],
    study: dict[str, Any],
    table: Path,
) -> None:
    """Write tables/answers.parquet or one of COLLECTED.

    Args:
        originals: the original's answers, with which the others were compared.
        manifests, texts, study: see results.belonging.check_results.
    """
    files = [*originals, *results]
    check_results(files, checkpoint_key, manifests=manifests, texts=texts, study=study)
    if table.suffix == ".parquet":
        collect_answers(results, table)
    else:
        write_csv(table, COLLECTED[table.name](results))


if __name__ == "__main__":
    run(main)
