"""Draw how like the original's the answers are, on the concept and on other things."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dissect.figures.behaviour import draw_behaviour
from dissect.figures.canvas import save
from dissect.figures.style import Style
from dissect.job import job
from dissect.results.behaviour import read_behaviour


def main(
    *, behaviour: Path, model: str, style: Mapping[str, Any], seed: int, outputs: Sequence[Path]
) -> None:
    """Draw one model's answers without a patch, from tables/behaviour.csv.

    Args:
        seed: of the bootstrap.

    Raises:
        DissectError: if the table has no such rows.
    """
    look = Style.of(style)
    rows = read_behaviour(behaviour, model=model, experiment="")
    save(draw_behaviour(rows, seed, look), outputs, look)


if __name__ == "__main__":
    with job() as snakemake:
        main(
            behaviour=Path(snakemake.input.behaviour),
            model=snakemake.wildcards.model,
            style=snakemake.params.style,
            seed=snakemake.params.seed,
            outputs=[Path(output) for output in snakemake.output],
        )
