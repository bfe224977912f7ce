"""Draw one of the figures of dissect.figures.registry, from the tables alone."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from dissect.analysis.behaviour import read_behaviour
from dissect.analysis.curve_groups import DONOR
from dissect.analysis.scores import EVERY_SCORE
from dissect.analysis.tables import concept_scores, read_curves, read_statistics
from dissect.figures.canvas import save
from dissect.figures.registry import FIGURES
from dissect.figures.style import Style
from dissect.job import run
from dissect.weight_changes.tables import read_weight_changes


def read_concepts(table: Path, **only: str) -> pd.DataFrame:
    """Each concept's scores with the original as donor; all scores where none is selected."""
    score = only.pop("score", EVERY_SCORE)
    return concept_scores(table, score, **only | {"donor": DONOR})


READERS: dict[str, Callable[..., pd.DataFrame]] = {
    "krs.parquet": read_concepts,
    "curves.csv": read_curves,
    "scores.csv": read_curves,
    "statistics.csv": read_statistics,
    "behaviour.csv": read_behaviour,
    "weight_changes.csv": read_weight_changes,
}


def main(
    *,
    figure: str,
    tables: list[Path],
    wildcards: dict[str, str],
    style: Style,
    pictures: list[Path],
    seed: int | None = None,
) -> None:
    """Draw one figure of one model; a `DissectError` if a table has no such rows.

    Args:
        figure: its name in the registry.
        tables: the files that the registry names, in that order.
        wildcards: the model, and a value for each of the figure's parts.
        seed: of the bootstrap; None for a figure that draws no samples.
    """
    spec = FIGURES[figure]
    rows = [READERS[table.name](table, **wildcards) for table in tables]
    seeded = {} if seed is None else {"seed": seed}
    save(spec.function()(*rows, style=style, **seeded), pictures, style)


if __name__ == "__main__":
    run(main)
