"""Draw the primary scores of models whose state is known, and how well they tell the states."""

from pathlib import Path

from dissect.calibration.table import read_rounds
from dissect.figures.calibration import draw_calibration
from dissect.figures.canvas import save
from dissect.figures.style import Style
from dissect.job import run
from dissect.results.csv_files import read_csv


def main(*, rounds: Path, table: Path, style: Style, pictures: list[Path]) -> None:
    """Draw figures/calibration from tables/rounds.csv and tables/calibration.csv."""
    save(draw_calibration(read_rounds([rounds]), read_csv(table), style), pictures, style)


if __name__ == "__main__":
    run(main)
