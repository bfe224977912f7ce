"""Small multiples: a row of panels per method, a column per experiment, one legend of readings."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from dissect.figures import canvas
from dissect.figures.names import drawn_name
from dissect.figures.style import Style, label_of

_COLOURS = 10
_FULL = 4  # panels side by side that take the whole width
_METHOD = 26  # characters of a method's name beside a panel


@dataclass(frozen=True)
class Reading:
    """How one reading of the same runs is drawn.

    Attributes:
        label: its name in the legend.
        palette_index: in the palette, beyond the experiments' colours; None: black.
        marker, dashes: of its line; () is solid.
    """

    label: str
    palette_index: int | None
    marker: str
    dashes: tuple[float, ...]

    def line(self, style: Style) -> dict[str, Any]:
        """What matplotlib calls that."""
        palette = sns.color_palette(style.palette, _COLOURS)
        return {
            "color": "black" if self.palette_index is None else palette[self.palette_index],
            "marker": self.marker,
            "markeredgecolor": "white",
            "markeredgewidth": 0.3,
            "dashes": self.dashes or (None, None),
        }


def new_panels(rows: int, columns: int, style: Style) -> tuple[Figure, Any]:
    """A figure and its (rows, columns) array of axes, which share their scales."""
    width = style.width * min(max(columns, 2), _FULL) / _FULL
    size = (width, rows * style.panel_height * 0.75 + 0.3 * style.font_scale)
    return canvas.new_figure(size, rows, columns, sharex=True, sharey=True)


def label(
    grid: Any,
    methods: Iterable[str],
    experiments: Iterable[str],
    scales: tuple[str, str],
    shown: "pd.Series[float]",
    style: Style,
) -> None:
    """Experiments over the columns, methods at the rows, and the scales' names (across, up)."""
    across, up = scales
    for panel, experiment in zip(grid[0], experiments, strict=True):
        panel.set_title(label_of(experiment), loc="left")
    for panel, method in zip(grid[:, 0], methods, strict=True):
        panel.set_ylabel(f"{drawn_name(method, _METHOD)}\n{up}")
    for panel in grid[-1]:
        panel.set_xlabel(across)
    for panel in grid.flat:
        panel.set_ylim(canvas.score_floor(shown, style), canvas.score_ceiling(shown, style))


def uncertainty(few: int, methods: int) -> list[str]:
    """What thin lines and bands are, where `few` methods have too few concepts for intervals."""
    thin = ["thin lines: single concepts"] if few else []
    return thin + (["bands: 95 % bootstrap intervals over concepts"] if few < methods else [])


def legend(figure: Figure, readings: Iterable[Reading], style: Style) -> None:
    """One legend for all panels, under them."""
    handles = []
    for reading in readings:
        line_style = reading.line(style)
        dashes = line_style.pop("dashes")
        line = Line2D([], [], label=reading.label, **line_style)
        line.set_dashes(dashes)
        handles.append(line)
    columns = len(handles) if figure.get_figwidth() > style.width * 0.6 else 1
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, handlelength=3.2)
