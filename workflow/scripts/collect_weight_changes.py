"""Put the weight changes of all checkpoints in one table."""

from pathlib import Path
from typing import Any

from dissect.job import run
from dissect.results.belonging import check_results, checkpoint_key
from dissect.results.csv_files import write_csv
from dissect.weight_changes.tables import all_weight_changes


def main(
    *,
    weight_changes: list[Path],
    manifests: list[Path],
    texts: list[Path],
    study: dict[str, Any],
    table: Path,
) -> None:
    """Write tables/weight_changes.csv; `check_results` describes manifests, texts and study."""
    check_results(weight_changes, checkpoint_key, manifests=manifests, texts=texts, study=study)
    write_csv(table, all_weight_changes(weight_changes))


if __name__ == "__main__":
    run(main)
