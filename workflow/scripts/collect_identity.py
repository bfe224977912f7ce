"""Put the outcomes of all self-patch checks in one table."""

from collections.abc import Iterable
from pathlib import Path

from dissect.job import job
from dissect.results.belonging import check_results, checkpoint_key
from dissect.results.csv_files import write_csv
from dissect.results.identity import collect_identity


def main(*, identities: Iterable[Path], table: Path) -> None:
    """Write tables/identity.csv.

    Raises:
        DissectError: see results.identity.collect_identity.
    """
    write_csv(table, collect_identity(identities))


if __name__ == "__main__":
    with job() as snakemake:
        identities = [Path(path) for path in snakemake.input.identities]
        check_results(
            identities,
            checkpoint_key,
            manifests=snakemake.input.manifests,
            texts=snakemake.input.texts,
            study=snakemake.params.study,
        )
        main(
            identities=identities,
            table=Path(snakemake.output.table),
        )
