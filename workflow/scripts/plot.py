"""Draw one of the figures of dissect.figures.registry, from the tables alone."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from dissect.analysis.behaviour import read_behaviour
from dissect.analysis.curve_groups import DONOR
from dissect.analysis.scores import EVERY_SCORE
from dissect.analysis.tables import concept_scores, read_curves, read_statistics
from dissect.figures.canvas import save
from dissect.figures.registry import FIGURES
from dissect.figures.style import Style
from dissect.job import job
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
    tables: Sequence[Path],
    selection: Mapping[str, str],
    style: Mapping[str, Any],
    outputs: Sequence[Path],
    seed: int | None = None,
) -> None:
    """Draw one figure of one model.

    Args:
        figure: its name in the registry.
        tables: the files that the registry names, in that order.
        selection: the model, and a value for each of the figure's parts.
        seed: of the bootstrap; None for a figure that draws no samples.

    Raises:
        DissectError: if a table has no such rows.
    """
    spec, figure_style = FIGURES[figure], Style(**style)
    only = {**selection, **spec.rows}
    rows = [READERS[table.name](table, **only) for table in tables]
    seeded = {} if seed is None else {"seed": seed}
    save(spec.function()(*rows, style=figure_style, **seeded), outputs, figure_style)


if __name__ == "__main__":
    with job() as snakemake:
        main(
            figure=snakemake.params.figure,
            tables=[Path(table) for table in snakemake.input.tables],
            selection=dict(snakemake.wildcards.items()),
            style=snakemake.params.style,
            outputs=[Path(output) for output in snakemake.output],
            seed=snakemake.params.seed,
        )
