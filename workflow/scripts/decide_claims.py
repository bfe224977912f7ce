"""Decide the paper's claims by the results of this study."""

from collections.abc import Sequence
from pathlib import Path

from dissect.analysis.behaviour import unrelated_scores
from dissect.analysis.claims import claims
from dissect.analysis.tables import concept_scores
from dissect.job import job
from dissect.results.csv_files import write_csv


def main(
    *,
    table: Path,
    windows: Sequence[str],
    seed: int,
    output: Path,
    behaviour: Path | None = None,
) -> None:
    """Write tables/claims.csv from tables/krs.parquet.

    Args:
        windows: the config's; the first sliding one serves all claims that name none.
        seed: of the bootstrap.
        behaviour: tables/behaviour.csv; None if no questions were asked.
    """
    unrelated = None if behaviour is None else unrelated_scores(behaviour)
    write_csv(output, claims(concept_scores(table, "krs"), windows, seed, unrelated))


if __name__ == "__main__":
    with job() as snakemake:
        main(
            table=Path(snakemake.input.table),
            windows=snakemake.params.windows,
            seed=snakemake.params.seed,
            output=Path(snakemake.output.claims),
            behaviour=Path(snakemake.input.behaviour[0]) if snakemake.input.behaviour else None,
        )
