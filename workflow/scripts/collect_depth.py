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
from stillknows.study.expected import check_results


def main(
    *,
    depths: list[Path],
    reference: str | None,
    study: dict[str, Any],
    depth: Path,
    uds_table: Path,
) -> None:
    """Write tables/depth.parquet and tables/uds.csv.

    Args:
        depths: the donors' files, the reference models' among them.
        reference: the method of the reference models.
        study: the parameter of study.expected.check_results.

    Raises:
        StudyError: if depth was measured nowhere.
    """
    if not depths:
        raise StudyError(
            "no depth was measured: it needs a reference model (reference and depth.forms in the "
            "config) and answer_facts in the concept file (docs/explanation/depth.md)"
        )
    check_results(study)
    rows, files = (
        read_depths(depths),
        {"/".join(path.with_suffix("").parts[-3:]): path for path in depths},
    )
    is_reference = rows["method"] == reference
    scores = with_reference(rows[~is_reference], rows[is_reference])
    write_rows(depth, scores, collected_metadata(files, "files"), DEPTH_SCHEMA)
    write_csv(uds_table, uds(scores))


if __name__ == "__main__":
    run(main)
