"""Put the traces of all checkpoints in one table."""

from collections.abc import Iterable
from pathlib import Path

from dissect.job import job
from dissect.results.tables import write_csv
from dissect.trace.table import collect_traces


def main(*, traces: Iterable[Path], output: Path) -> None:
    """Write tables/trace.csv from the traces' parquet files."""
    write_csv(output, collect_traces(traces))


if __name__ == "__main__":
    with job() as snakemake:
        main(
            traces=[Path(trace) for trace in snakemake.input.traces],
            output=Path(snakemake.output.trace),
        )
