"""Put the rows of all cells in one table, and say which cells are there."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from dissect.analysis.collect import collect_cells, coverage
from dissect.job import job
from dissect.results.belonging import check_results, sweep_key
from dissect.results.csv_files import write_csv


def main(
    *,
    cells: Iterable[Path],
    missing: Iterable[Mapping[str, str]],
    table: Path,
    coverage_table: Path,
) -> None:
    """Write tables/krs.parquet and tables/coverage.csv.

    Args:
        cells: the parquet files of the cells that are there.
        missing: the cells that are not: model, method, concept, experiment, reason, origin.

    Raises:
        DissectError: see analysis.collect.collect_cells.
    """
    collect_cells(cells, table)
    write_csv(coverage_table, coverage(table, missing))


if __name__ == "__main__":
    with job() as snakemake:
        cells = [Path(cell) for cell in snakemake.input.cells]
        check_results(
            cells,
            sweep_key,
            manifests=snakemake.input.manifests,
            texts=snakemake.input.texts,
            study=snakemake.params.study,
        )
        main(
            cells=cells,
            missing=snakemake.params.missing,
            table=Path(snakemake.output.table),
            coverage_table=Path(snakemake.output.coverage),
        )
