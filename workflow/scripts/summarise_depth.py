"""Summarise tables/depth.parquet: UDS, fact loss and surviving facts beside the reference's."""

from pathlib import Path

from stillknows.analysis.depth import depth_summary
from stillknows.analysis.uds import read_depth
from stillknows.csv_files import write_csv
from stillknows.job import run


def main(*, depth: Path, without_reference: list[dict[str, str]], seed: int, table: Path) -> None:
    """Write tables/depth.csv.

    Args:
        without_reference: model, origin and method of each copy that has no reference model.
        seed: of the bootstrap.
    """
    write_csv(table, depth_summary(read_depth(depth), without_reference, seed))


if __name__ == "__main__":
    run(main)
