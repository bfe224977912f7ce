"""Put the outcomes of all self-patch checks in one table."""

from pathlib import Path
from typing import Any

from dissect.analysis.self_patch import collect_self_patch
from dissect.job import run
from dissect.results.belonging import check_results, checkpoint_key
from dissect.results.csv_files import write_csv


def main(
    *,
    self_patches: list[Path],
    manifests: list[Path],
    texts: list[Path],
    study: dict[str, Any],
    table: Path,
) -> None:
    """Write tables/self_patch.csv; `check_results` describes manifests, texts and study."""
    check_results(self_patches, checkpoint_key, manifests=manifests, texts=texts, study=study)
    write_csv(table, collect_self_patch(self_patches))


if __name__ == "__main__":
    run(main)
