"""Draw KRS beside the other scores."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dissect.figures.canvas import save
from dissect.figures.compared import draw_scores
from dissect.figures.style import Style
from dissect.job import job
from dissect.results.scores import EVERY_SCORE
from dissect.results.tables import concept_scores, read_curves


def main(
    *,
    scores: Path,
    table: Path,
    model: str,
    window: str,
    span: str,
    style: Mapping[str, Any],
    outputs: Sequence[Path],
) -> None:
    """Draw one model's, from tables/scores.csv and, for single concepts, krs.parquet.

    Raises:
        DissectError: if the table has no such rows.
    """
    look = Style.of(style)
    only = {"model": model, "window": window, "span": span, "donor": "original"}
    rows = read_curves(scores, **only)
    concepts = concept_scores(table, EVERY_SCORE, **only)
    save(draw_scores(rows, concepts, look), outputs, look)


if __name__ == "__main__":
    with job() as snakemake:
        main(
            scores=Path(snakemake.input.scores),
            table=Path(snakemake.input.table),
            model=snakemake.wildcards.model,
            window=snakemake.wildcards.window,
            span=snakemake.wildcards.span,
            style=snakemake.params.style,
            outputs=[Path(output) for output in snakemake.output],
        )
