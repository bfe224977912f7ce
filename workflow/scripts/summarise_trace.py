"""Put the traces of all checkpoints in one table."""

from collections.abc import Iterable
from pathlib import Path

from dissect.job import job
from dissect.results.belonging import check_results, checkpoint_key
from dissect.results.csv_files import write_csv
from dissect.trace.trace_table import collect_traces


def main(*, traces: Iterable[Path], output: Path) -> None:
    """Write tables/trace.csv from the traces' parquet files."""
    write_csv(output, collect_traces(traces))


if __name__ == "__main__":
    with job() as snakemake:
        traces = [Path(trace) for trace in snakemake.input.traces]
        check_results(
            traces,
            checkpoint_key,
            manifests=snakemake.input.manifests,
            texts=snakemake.input.concepts,
            study=snakemake.params.study,
        )
        main(
            traces=traces,
            output=Path(snakemake.output.trace),
        )
