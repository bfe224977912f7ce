"""Put the weight changes of all checkpoints in one table."""

from collections.abc import Iterable
from pathlib import Path

from dissect.job import job
from dissect.results.belonging import check_results, checkpoint_key
from dissect.results.csv_files import write_csv
from dissect.weight_changes.tables import all_weight_changes


def main(*, weight_changes: Iterable[Path], output: Path) -> None:
    """Write tables/weight_changes.csv from the parquet files of all checkpoints."""
    write_csv(output, all_weight_changes(weight_changes))


if __name__ == "__main__":
    with job() as snakemake:
        weight_changes = [Path(weight_changes) for weight_changes in snakemake.input.weight_changes]
        check_results(
            weight_changes,
            checkpoint_key,
            manifests=snakemake.input.manifests,
            texts=snakemake.input.concepts,
            study=snakemake.params.study,
        )
        main(
            weight_changes=weight_changes,
            output=Path(snakemake.output.weight_changes),
        )
