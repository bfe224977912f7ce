"""Sweeps whose curves all differ, and what a figure of them shows, for the tests of figures."""

from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

from planted import EXPERIMENTS, plant, sloped
from stillknows.figures.canvas import SINGLE_WIDTH


def study(root: Path, concepts: int = 2, layers: int = 4, **more: Any) -> list[Path]:
    """Sweeps of two methods and four experiments; every curve is another slope."""
    return [
        plant(
            root,
            sloped((i + 1) / 5 + 0.01 * c - 0.1 * m, layers),
            concept=f"c{c}",
            method=method,
            experiment=experiment,
            **more,
        )
        for m, method in enumerate(("dpo", "grad_diff"))
        for c in range(concepts)
        for i, experiment in enumerate(EXPERIMENTS)
    ]


def thin_lines(axes: Axes) -> int:
    """How many lines are those of single concepts."""
    return sum(line.get_linewidth() == SINGLE_WIDTH for line in axes.get_lines())


def words(figure: Figure) -> str:
    """All that is written in a figure, and its notes."""
    texts = [text.get_text() for text in figure.findobj(Text)]
    return " ".join(" ".join([*texts, str(figure.get_label())]).split())


def legend(figure: Figure) -> list[str]:
    """The entries of its legend."""
    return [text.get_text() for text in figure.legends[0].get_texts()]
