"""Draw every concept's score, layer by layer."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dissect.figures.canvas import save
from dissect.figures.heatmap import draw_heatmap
from dissect.figures.style import Style
from dissect.job import job
from dissect.results.tables import concept_scores


def main(
    *,
    table: Path,
    model: str,
    window: str,
    span: str,
    score: str,
    style: Mapping[str, Any],
    outputs: Sequence[Path],
) -> None:
    """Draw one model's heat map, from tables/krs.parquet.

    Raises:
        DissectError: if the table has no such rows.
    """
    look = Style.of(style)
    concepts = concept_scores(table, score, model=model, window=window, span=span, donor="original")
    save(draw_heatmap(concepts, look), outputs, look)


if __name__ == "__main__":
    with job() as snakemake:
        main(
            table=Path(snakemake.input.table),
            model=snakemake.wildcards.model,
            window=snakemake.wildcards.window,
            span=snakemake.wildcards.span,
            score=snakemake.wildcards.score,
            style=snakemake.params.style,
            outputs=[Path(output) for output in snakemake.output],
        )
