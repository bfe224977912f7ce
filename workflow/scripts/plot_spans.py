"""Draw the notebook's span beside the answer's."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dissect.figures.canvas import save
from dissect.figures.compared import draw_spans
from dissect.figures.style import Style
from dissect.job import job
from dissect.results.tables import concept_scores, read_curves


def main(
    *,
    curves: Path,
    table: Path,
    model: str,
    window: str,
    score: str,
    style: Mapping[str, Any],
    outputs: Sequence[Path],
) -> None:
    """Draw one model's, from tables/curves.csv and, for single concepts, krs.parquet.

    Raises:
        DissectError: if the table has no such rows.
    """
    look = Style.of(style)
    rows = read_curves(curves, model=model, window=window, score=score, donor="original")
    concepts = concept_scores(table, score, model=model, window=window, donor="original")
    save(draw_spans(rows, concepts, look), outputs, look)


if __name__ == "__main__":
    with job() as snakemake:
        main(
            curves=Path(snakemake.input.curves),
            table=Path(snakemake.input.table),
            model=snakemake.wildcards.model,
            window=snakemake.wildcards.window,
            score=snakemake.wildcards.score,
            style=snakemake.params.style,
            outputs=[Path(output) for output in snakemake.output],
        )
