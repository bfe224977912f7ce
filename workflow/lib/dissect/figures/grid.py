"""Small multiples: a row of panels per method, a column per experiment, lines over one another."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dissect.figures import canvas
from dissect.figures.names import drawn_name
from dissect.figures.style import EXPERIMENTS, Look, Style

_COLOURS = 10  # of the palette: what these figures compare has none of the experiments' colours
_FULL = 4  # panels side by side that take the whole width
_METHOD = 26  # characters of a method's name beside a panel


def new_panels(
    methods: Iterable[str],
    experiments: Iterable[str],
    scales: tuple[str, str],
    shown: "pd.Series[float]",
    style: Style,
) -> tuple[Figure, dict[tuple[str, str], Axes]]:
    """A figure and (method, experiment) -> its panel, labelled, on axes that they share.

    Args:
        scales: the names of the axes, across and up.
        shown: all values that the axes must have room for.
    """
    rows, columns = list(methods), list(experiments)
    width = style.width * min(max(len(columns), 2), _FULL) / _FULL
    size = (width, len(rows) * style.panel_height * 0.75 + 0.3 * style.font_scale)
    figure, grid = canvas.new_grid(size, len(rows), len(columns), sharex=True)
    across, up = scales
    for panel, experiment in zip(grid[0], columns, strict=True):
        panel.set_title(EXPERIMENTS[experiment].label, loc="left")
    for panel, method in zip(grid[:, 0], rows, strict=True):
        panel.set_ylabel(f"{drawn_name(method, _METHOD)}\n{up}")
    for panel in grid[-1]:
        panel.set_xlabel(across)
    grid[0, 0].set_ylim(canvas.score_floor(shown, style), canvas.score_ceiling(shown, style))
    names = [(method, experiment) for method in rows for experiment in columns]
    return figure, dict(zip(names, grid.flat, strict=True))


def line_styles(looks: Mapping[str, Look], style: Style) -> dict[str, dict[str, Any]]:
    """What matplotlib calls the looks of what is compared."""
    return canvas.line_styles(looks, style, _COLOURS)


def legend(figure: Figure, line_styles: Sequence[Mapping[str, Any]], style: Style) -> None:
    """One legend for all panels: side by side, or in a narrow figure one below the other."""
    is_wide = figure.get_figwidth() > style.width * 0.6
    canvas.legend(figure, line_styles, len(line_styles) if is_wide else 1)
