"""Draw how far each component moved, layer by layer."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dissect.figures.canvas import save
from dissect.figures.style import Style
from dissect.figures.trace import draw_trace
from dissect.job import job
from dissect.trace.table import read_trace


def main(
    *, table: Path, model: str, seed: int, style: Mapping[str, Any], outputs: Sequence[Path]
) -> None:
    """Draw one model's trace, from tables/trace.csv; the seed is the bootstrap's.

    Raises:
        DissectError: if the table has no such rows.
    """
    look = Style.of(style)
    save(draw_trace(read_trace(table, model), look, seed), outputs, look)


if __name__ == "__main__":
    with job() as snakemake:
        main(
            table=Path(snakemake.input.trace),
            model=snakemake.wildcards.model,
            seed=snakemake.params.seed,
            style=snakemake.params.style,
            outputs=[Path(output) for output in snakemake.output],
        )
