"""Draw how much of the original's answers comes back under each patch."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dissect.errors import DissectError
from dissect.figures.behaviour import draw_behaviour_patched
from dissect.figures.canvas import save
from dissect.figures.style import Style
from dissect.job import job
from dissect.results.behaviour import read_behaviour


def main(
    *, behaviour: Path, model: str, style: Mapping[str, Any], seed: int, outputs: Sequence[Path]
) -> None:
    """Draw one model's answers under patches, from tables/behaviour.csv.

    Args:
        seed: of the bootstrap.

    Raises:
        DissectError: if the table has no such rows.
    """
    look = Style.of(style)
    rows = read_behaviour(behaviour, model=model)
    is_patched = rows["experiment"] != ""
    if not is_patched.any():
        raise DissectError(f"{behaviour} has no answers under a patch of {model}: name windows")
    save(draw_behaviour_patched(rows[is_patched], rows[~is_patched], seed, look), outputs, look)


if __name__ == "__main__":
    with job() as snakemake:
        main(
            behaviour=Path(snakemake.input.behaviour),
            model=snakemake.wildcards.model,
            style=snakemake.params.style,
            seed=snakemake.params.seed,
            outputs=[Path(output) for output in snakemake.output],
        )
