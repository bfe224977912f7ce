"""Put the outcomes of all self-patch checks in one table."""

from collections.abc import Iterable
from pathlib import Path

from dissect.analysis.self_patch import collect_self_patch
from dissect.job import job
from dissect.results.belonging import check_results, checkpoint_key
from dissect.results.csv_files import write_csv


def main(*, self_patches: Iterable[Path], table: Path) -> None:
    """Write tables/self_patch.csv.

    Raises:
        DissectError: see analysis.self_patch.collect_self_patch.
    """
    write_csv(table, collect_self_patch(self_patches))


if __name__ == "__main__":
    with job() as snakemake:
        self_patches = [Path(path) for path in snakemake.input.self_patches]
        check_results(
            self_patches,
            checkpoint_key,
            manifests=snakemake.input.manifests,
            texts=snakemake.input.texts,
            study=snakemake.params.study,
        )
        main(
            self_patches=self_patches,
            table=Path(snakemake.output.table),
        )
