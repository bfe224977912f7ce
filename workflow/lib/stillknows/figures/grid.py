"""Small multiples: rows of panels per method, a panel per experiment, lines over one another."""

from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stillknows.figures import canvas, notes
from stillknows.figures.names import drawn_name
from stillknows.figures.style import EXPERIMENTS, Look, Style, in_order

_COLOURS = 10  # of the palette: what these figures compare has none of the experiments' colours
_FULL = 4  # panels side by side that take the whole width
_METHOD = 26  # characters of a method's name beside a panel

LineStyles = Mapping[str, Mapping[str, Any]]
# Adds the means of one method and experiment, and single concepts where they are given.
DrawPanel = Callable[[Axes, pd.DataFrame, pd.DataFrame | None, LineStyles], None]


def method_grid(
    panels: canvas.MethodPanels,
    draw_panel: DrawPanel,
    looks: Mapping[str, Look],
    scales: tuple[str, str],
    words: tuple[list[str], list[str]],
    style: Style,
) -> Figure:
    """A figure whose panels share their axes.

    Args:
        looks: of what is compared in each panel.
        scales: the names of the axes, across and up.
        words: what is shown and of how many, as `notes.heading` takes them.
    """
    means = pd.concat(panels.rows.values())
    experiments = in_order(means["experiment"])
    # More experiments than columns: a method's first ones, and below them its others.
    blocks = [experiments[start : start + _FULL] for start in range(0, len(experiments), _FULL)]
    rows = [(title, block) for title in panels.rows for block in blocks]
    columns = len(blocks[0])
    styles = canvas.line_styles(looks, style, _COLOURS)
    width = style.width * max(columns, 2) / _FULL
    height = len(rows) * style.panel_height * 0.75 + 0.3 * style.font_scale
    across, up = scales
    with canvas.applied(style, means):
        figure, grid = canvas.new_grid((width, height), len(rows), columns, sharex=True)
        for number, (row, (title, block)) in enumerate(zip(grid, rows, strict=True)):
            row[0].set_ylabel(f"{drawn_name(title, _METHOD)}\n{up}")
            of_method, singles = panels.rows[title], panels.singles.get(title)
            for spare in row[len(block) :]:
                spare.remove()
            for axes, experiment in zip(row, block, strict=False):
                canvas.zero_line(axes)
                curves = of_method[of_method["experiment"] == experiment]
                alone = None if singles is None else singles[singles["experiment"] == experiment]
                draw_panel(axes, curves, alone, styles)
                if curves["mean"].isna().all():
                    canvas.note(axes, "no value")
                if number == 0 or len(blocks) > 1:
                    axes.set_title(EXPERIMENTS[experiment].label, loc="left")
        for column in range(columns):
            lowest = grid[-1 if column < len(blocks[-1]) else -2, column]
            lowest.tick_params(labelbottom=True)
            lowest.set_xlabel(across)
        shown = panels.shown
        grid[0, 0].set_ylim(canvas.lowest_shown(shown, style), canvas.highest_shown(shown, style))
        outside = notes.cut_note(shown, style), notes.ceiling_note(shown, style)
        notes.heading(figure, means["model"].iloc[0], words[0], [*words[1], *outside], style)
        # Side by side, or in a narrow figure one below the other.
        beside = len(styles) if width > style.width * 0.6 else 1
        canvas.legend(figure, list(styles.values()), beside)
    return figure
