"""Draw the paper's figure: KRS against layer, a curve per experiment."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dissect.figures.canvas import save
from dissect.figures.curves import draw_curves
from dissect.figures.style import Style
from dissect.job import job
from dissect.results.tables import read_curves


def main(
    *,
    curves: Path,
    model: str,
    window: str,
    span: str,
    score: str,
    style: Mapping[str, Any],
    outputs: Sequence[Path],
) -> None:
    """Draw one model's curves, from tables/curves.csv.

    Raises:
        DissectError: if the table has no such rows.
    """
    look = Style.of(style)
    rows = read_curves(curves, model=model, window=window, span=span, score=score)
    save(draw_curves(rows, look), outputs, look)


if __name__ == "__main__":
    with job() as snakemake:
        main(
            curves=Path(snakemake.input.curves),
            model=snakemake.wildcards.model,
            window=snakemake.wildcards.window,
            span=snakemake.wildcards.span,
            score=snakemake.wildcards.score,
            style=snakemake.params.style,
            outputs=[Path(output) for output in snakemake.output],
        )
