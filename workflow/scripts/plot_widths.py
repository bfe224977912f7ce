"""Draw how much comes back with windows of each width."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dissect.figures.canvas import save
from dissect.figures.style import Style
from dissect.figures.widths import draw_widths
from dissect.job import job
from dissect.results.tables import concept_scores, read_statistics


def main(
    *,
    statistics: Path,
    table: Path,
    model: str,
    span: str,
    score: str,
    style: Mapping[str, Any],
    outputs: Sequence[Path],
) -> None:
    """Draw one model's, from tables/statistics.csv and, for single concepts, krs.parquet.

    Raises:
        DissectError: if the table has no such rows.
    """
    look = Style.of(style)
    rows = read_statistics(statistics, model=model, span=span, score=score, donor="original")
    concepts = concept_scores(table, score, model=model, span=span, donor="original")
    save(draw_widths(rows, concepts, look), outputs, look)


if __name__ == "__main__":
    with job() as snakemake:
        main(
            statistics=Path(snakemake.input.statistics),
            table=Path(snakemake.input.table),
            model=snakemake.wildcards.model,
            span=snakemake.wildcards.span,
            score=snakemake.wildcards.score,
            style=snakemake.params.style,
            outputs=[Path(output) for output in snakemake.output],
        )
