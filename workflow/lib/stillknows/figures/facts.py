"""The audit, fact by fact: how the true text ranks among others in each copy."""

from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stillknows.analysis.audit import COPY, rows_of
from stillknows.figures import canvas, notes
from stillknows.figures.names import drawn_name, shortened
from stillknows.figures.style import Style
from stillknows.terms import ASSOCIATION, EXPOSURE

_LABEL = 24  # characters of a fact
_AXIS = "rank / candidates"
_SHOWN = "rank of the true text among its candidates; left: it is preferred"
_LINE = "dashed: 0.05"


@canvas.styled
def draw_facts(facts: pd.DataFrame, verdicts: pd.DataFrame, *, style: Style) -> Figure:
    """A panel per copy, a row per fact: ranks of association and exposure, and what is said."""
    colours = sns.color_palette(style.palette, 3)
    marks: dict[str, dict[str, Any]] = {
        ASSOCIATION: {"marker": "o", "color": colours[0], "label": "association"},
        EXPOSURE: {"marker": "s", "color": colours[1], "label": "exposure", "mfc": "none"},
        "says": {"marker": "*", "color": "black", "label": "a free answer has the fact"},
    }
    for mark in marks.values():
        mark |= {"linestyle": "none", "markersize": 5}
    several = verdicts["concept"].nunique() > 1
    panels = {}
    for model, method, concept, word in verdicts[[*COPY, "verdict"]].itertuples(index=False):
        name = f"{method}, {concept}" if several else method
        panels[f"{name}: {word}"] = rows_of(facts, model, method, concept)
    # Where the stars are: left of all ranks.
    leftmost = 0.5 * np.nanmin([*facts["association_p"], *facts["exposure_p"], 0.01])
    most = max(len(rows) for rows in panels.values())
    height = (0.17 * most + 0.9) * style.font_scale
    size, legend_height = (style.width, height), 0.3 * style.font_scale
    figure, grid = canvas.new_panels(panels, (_AXIS, ""), size, legend_height, narrow=1)
    for axes, rows in zip(grid, panels.values(), strict=True):
        _draw_panel(axes, rows, marks, leftmost)
    notes.heading(
        figure, str(verdicts["model"].iloc[0]), [_SHOWN], [f"n = {most} facts", _LINE], style
    )
    canvas.legend(figure, list(marks.values()), len(marks), length=1)
    return figure


def _draw_panel(
    axes: Axes, rows: pd.DataFrame, marks: dict[str, dict[str, Any]], leftmost: float
) -> None:
    rows = rows.sort_values("question").reset_index(drop=True)
    for score in (ASSOCIATION, EXPOSURE):
        axes.plot(rows[f"{score}_p"], rows.index, **marks[score])
    said = rows.index[rows["says"].astype(bool)]
    axes.plot([leftmost] * len(said), said, **marks["says"])
    axes.axvline(0.05, color=canvas.GREY, linewidth=0.6, linestyle="--", zorder=0)
    axes.set_xscale("log")
    axes.set_xlim(0.7 * leftmost, 1.3)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    labels = [drawn_name(shortened(fact, _LABEL)) for fact in rows["fact"]]
    axes.set_yticks(rows.index, labels)
    axes.tick_params(axis="y", length=0)
    for number in range(1, len(rows)):
        axes.axhline(number - 0.5, color="0.92", linewidth=0.5, zorder=0)
