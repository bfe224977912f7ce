"""Draw the curves of each method, with intervals or single concepts."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dissect.figures.canvas import save
from dissect.figures.curves import draw_curves_by_method
from dissect.figures.style import Style
from dissect.job import job
from dissect.results.tables import concept_scores, read_curves


def main(
    *,
    curves: Path,
    table: Path,
    model: str,
    window: str,
    span: str,
    score: str,
    style: Mapping[str, Any],
    outputs: Sequence[Path],
) -> None:
    """Draw one model's curves, from tables/curves.csv and, for single concepts, krs.parquet.

    Raises:
        DissectError: if the table has no such rows.
    """
    look = Style.of(style)
    rows = read_curves(curves, model=model, window=window, span=span, score=score)
    concepts = concept_scores(table, score, model=model, window=window, span=span, donor="original")
    save(draw_curves_by_method(rows, concepts, look), outputs, look)


if __name__ == "__main__":
    with job() as snakemake:
        main(
            curves=Path(snakemake.input.curves),
            table=Path(snakemake.input.table),
            model=snakemake.wildcards.model,
            window=snakemake.wildcards.window,
            span=snakemake.wildcards.span,
            score=snakemake.wildcards.score,
            style=snakemake.params.style,
            outputs=[Path(output) for output in snakemake.output],
        )
