"""Set each unlearned model's depth beside its reference model's, and score it."""

from pathlib import Path
from typing import Any

from stillknows.analysis.collect import collected_metadata
from stillknows.analysis.depth_schema import DEPTH_SCHEMA
from stillknows.analysis.uds import read_depths, uds, with_reference
from stillknows.csv_files import write_csv
from stillknows.errors import StudyError
from stillknows.job import run
from stillknows.parquet_files import write_rows
from stillknows.study.belonging import check_results, checkpoint_key


def main(
    *,
    depths: list[Path],
    reference: str | None,
    manifests: list[Path],
    texts: list[Path],
    study: dict[str, Any],
    depth: Path,
    uds_table: Path,
) -> None:
    """Write tables/depth.parquet and tables/uds.csv.

    Args:
        depths: the donors' files, the reference models' among them.
        reference: the method of the reference models.
        manifests, texts, study: see study.belonging.check_results.

    Raises:
        StudyError: if depth was measured nowhere.
    """
    if not depths:
        raise StudyError(
            "no depth was measured: it needs a reference model (reference and depth.forms in the "
            "config) and answer_facts in the concept file (docs/explanation/depth.md)"
        )
    check_results(depths, checkpoint_key, manifests=manifests, texts=texts, study=study)
    rows, files = read_depths(depths), {"/".join(checkpoint_key(path)): path for path in depths}
    is_reference = rows["method"] == reference
    scores = with_reference(rows[~is_reference], rows[is_reference])
    write_rows(depth, scores, collected_metadata(files, "files"), DEPTH_SCHEMA)
    write_csv(uds_table, uds(scores))


if __name__ == "__main__":
    run(main)
