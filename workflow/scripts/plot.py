"""Draw one of the figures of stillknows.figures.registry, from the tables alone."""

from pathlib import Path

import pandas as pd

from stillknows.analysis.calibration.table import read_rounds
from stillknows.analysis.depth import read_depth
from stillknows.analysis.tables import DONOR, EVERY_SCORE, concept_scores
from stillknows.csv_files import read_csv
from stillknows.figures.canvas import save
from stillknows.figures.registry import CALIBRATION, FIGURES
from stillknows.figures.style import Style
from stillknows.job import run
from stillknows.terms import COPY, NOISING_RATIO


def main(
    *,
    figure: str,
    tables: list[Path],
    wildcards: dict[str, str],
    style: Style,
    pictures: list[Path],
    seed: int | None = None,
) -> None:
    """Draw one figure of one model, or of the study; a `StudyError` if a table has no such rows.

    Args:
        figure: its name in the registry.
        tables: the files that the registry names, in that order.
        wildcards: the model, if it is of one, and a value for each of the figure's parts.
        seed: of the bootstrap; None for a figure that draws no samples.
    """
    spec = FIGURES.get(figure, CALIBRATION)
    rows = [read_rows(table, **wildcards) for table in tables]
    seeded = {} if seed is None else {"seed": seed}
    save(spec.function()(*rows, style=style, **seeded), pictures, style)


def read_rows(table: Path, **only: str) -> pd.DataFrame:
    """Rows of a table; of tables/krs.parquet each concept's scores (all, if none is selected)."""
    if table.name == "depth.parquet":
        return read_depth(table, **only)
    if table.name == "rounds.csv":
        return read_rounds([table])
    if table.suffix == ".csv":
        return read_csv(table, **only)
    rows = concept_scores(table, only.pop("score", (*EVERY_SCORE, NOISING_RATIO)), **only)
    return rows[rows["donor"].isin([DONOR, COPY])]


if __name__ == "__main__":
    run(main)
