"""How far each component's weights moved, layer by layer, and the concept vectors among them."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stillknows.analysis.bootstrap import MIN_CONCEPTS, mean_and_interval
from stillknows.figures import canvas, notes
from stillknows.figures.names import drawn_name
from stillknows.figures.style import Look, Style
from stillknows.parquet_files import ATTENTION_MAPS, CONCEPT_VECTOR, MLP_MAPS

_LOOKS = {
    "q": Look("query", 0, "o"),
    "k": Look("key", 1, "s", (4, 1.5)),
    "v": Look("value", 2, "^", (1, 1)),
    "o": Look("output", 3, "X", (3, 1, 1, 1)),
    "gate": Look("gate", 0, "o"),
    "up": Look("up", 1, "s", (4, 1.5)),
    "down": Look("down (value vectors)", 3, "X", (3, 1, 1, 1)),
}
_STAR: dict[str, Any] = {
    "label": "concept vectors",
    "color": "black",
    "marker": "*",
    "markersize": 7,
    "markeredgecolor": "white",
    "markeredgewidth": 0.5,
    "linestyle": "none",
}
_GROUPS = {"attention": ATTENTION_MAPS, "MLP": MLP_MAPS}


def draw_weight_changes(weight_changes: pd.DataFrame, style: Style, seed: int) -> Figure:
    """A row of panels per method (and origin): attention at the left, MLP at the right.

    Args:
        weight_changes: rows of tables/weight_changes.csv of one model.
        seed: of the bootstrap of the intervals over concepts.
    """
    rows = canvas.by_method(weight_changes)
    line_styles = canvas.line_styles(_LOOKS, style, 4)
    size = (style.width, len(rows) * (style.panel_height + 0.15) + 0.55 * style.font_scale)
    with canvas.applied(style, weight_changes):
        figure, grid = canvas.new_grid(size, len(rows), len(_GROUPS), sharex=True)
        for panels, (name, frame) in zip(grid, rows.items(), strict=True):
            for axes, (group, components) in zip(panels, _GROUPS.items(), strict=True):
                for component in components:
                    of_component = frame[frame["component"] == component]
                    _draw_component(axes, of_component, line_styles[component], seed)
                axes.set_title(f"{drawn_name(name)}: {group}", loc="left")
            _draw_concept_vectors(panels[-1], frame[frame["component"] == CONCEPT_VECTOR])
            panels[0].set_ylabel("relative change of the weights")
        for axes in grid[-1]:
            axes.set_xlabel("layer (from 0)")
            canvas.layer_ticks(axes)
        grid[0, 0].set_ylim(bottom=0)
        _title(figure, weight_changes, rows, style)
        _legends(figure, set(weight_changes["component"]), line_styles)
    return figure


def _draw_component(axes: Axes, rows: pd.DataFrame, line_style: dict[str, Any], seed: int) -> None:
    """Mean over concepts, with its band, or with the single concepts where they are few."""
    if rows["relative_change"].isna().all():
        return
    values = rows.pivot(index="concept", columns="layer", values="relative_change")
    each, colour = values.to_numpy(float), line_style["color"]
    means = pd.DataFrame({"layer": values.columns, **mean_and_interval(each[None], seed)})
    axes.plot(means["layer"], means["value"], **line_style)
    canvas.add_band(axes, means, colour)
    if len(values) > 1:
        singles = np.where(means["n"] < MIN_CONCEPTS, each, np.nan)
        points: dict[str, Any] = {"color": colour, "alpha": 0.5, "linestyle": "none"}
        axes.plot(means["layer"], singles.T, marker=".", markersize=2.2, zorder=1.5, **points)


def _draw_concept_vectors(axes: Axes, rows: pd.DataFrame) -> None:
    """Each concept's vector at its layer: a star on a stem."""
    axes.vlines(rows["layer"], 0, rows["relative_change"], color="0.6", linewidth=0.6, zorder=1)
    axes.plot(rows["layer"], rows["relative_change"], zorder=4, **_STAR)


def _title(
    figure: Figure, weight_changes: pd.DataFrame, rows: dict[str, pd.DataFrame], style: Style
) -> None:
    """What is shown, of how many concepts."""
    each = pd.Series([frame["concept"].nunique() for frame in rows.values()])
    is_few = ((each > 1) & (each < MIN_CONCEPTS)).any()
    has_vectors = (weight_changes["component"] == CONCEPT_VECTOR).any()
    shown = ["Frobenius norm of the difference to the original, relative to the original's"]
    marks = [
        "lines: mean over concepts" if each.max() > 1 else "",
        notes.BANDS if each.max() >= MIN_CONCEPTS else "",
        "small points: single concepts" if is_few else "",
    ]
    vectors = "" if has_vectors else "no concept vector is named in the concept file"
    counted = [f"n = {notes.spread(each, 'concept')} per method", *marks, vectors]
    notes.heading(figure, str(weight_changes["model"].iloc[0]), shown, counted, style)


def _legends(figure: Figure, present: set[str], line_styles: dict[str, dict[str, Any]]) -> None:
    """Under each column of panels, its components."""
    stars = [_STAR] if CONCEPT_VECTOR in present else []
    for side, components, more in (("left", ATTENTION_MAPS, []), ("right", MLP_MAPS, stars)):
        entries = [line_styles[name] for name in components if name in present]
        canvas.legend(figure, entries + more, 2, side)
