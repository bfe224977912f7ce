"""How far each component's weights moved, layer by layer, and the concept vectors among them."""

from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from dissect.figures import canvas
from dissect.figures.names import drawn_name
from dissect.figures.style import Style
from dissect.results.bootstrap import (
    MIN_CONCEPTS,
    concepts_with_a_value,
    interval_of_mean,
    mean_curve,
)
from dissect.trace.schema import ATTENTION, CONCEPT_VECTOR, MLP

# Component -> index in the palette, label, marker, dashes: nobody needs the colours.
_LOOKS: dict[str, tuple[int, str, str, tuple[float, ...]]] = {
    "q": (0, "query", "o", ()),
    "k": (1, "key", "s", (4, 1.5)),
    "v": (2, "value", "^", (1, 1)),
    "o": (3, "output", "X", (3, 1, 1, 1)),
    "gate": (0, "gate", "o", ()),
    "up": (1, "up", "s", (4, 1.5)),
    "down": (3, "down (value vectors)", "X", (3, 1, 1, 1)),
}
_GROUPS = {"attention": ATTENTION, "MLP": MLP}
_LABEL = "relative change of the weights"


def draw_trace(trace: pd.DataFrame, style: Style, seed: int) -> Figure:
    """A row of panels per method (and origin): attention at the left, MLP at the right.

    Args:
        trace: rows of tables/trace.csv of one model.
        seed: of the bootstrap of the intervals over concepts.
    """
    rows = canvas.by_method(trace)
    size = (style.width, len(rows) * (style.panel_height + 0.15) + 0.55 * style.font_scale)
    with canvas.applied(style, trace):
        figure, grid = canvas.new_figure(size, len(rows), len(_GROUPS), sharex=True, sharey=True)
        for panels, (name, frame) in zip(grid, rows.items(), strict=True):
            for axes, (group, components) in zip(panels, _GROUPS.items(), strict=True):
                for component in components:
                    _draw_component(axes, frame, component, style, seed)
                axes.set_title(f"{drawn_name(name)}: {group}", loc="left")
            _draw_concept_vectors(panels[-1], frame)
            panels[0].set_ylabel(_LABEL)
        for axes in grid[-1]:
            axes.set_xlabel("layer (from 0)")
            canvas.layer_ticks(axes)
        grid[0, 0].set_ylim(bottom=0)
        canvas.title(figure, str(trace["model"].iloc[0]), _phrases(trace, rows), style)
        _legends(figure, trace, style)
    return figure


def _draw_component(
    axes: Axes, frame: pd.DataFrame, component: str, style: Style, seed: int
) -> None:
    """Mean over concepts, with its band, or with the single concepts where they are few."""
    rows = frame[frame["component"] == component]
    if rows["relative_change"].isna().all():
        return
    values = rows.pivot(index="concept", columns="layer", values="relative_change")
    layers, cube = values.columns.to_numpy(), values.to_numpy(float)[None]
    axes.plot(layers, mean_curve(cube), **_look(component, style))
    few = concepts_with_a_value(cube) < MIN_CONCEPTS
    low, high = interval_of_mean(cube, seed)
    colour = _look(component, style)["color"]
    axes.fill_between(layers, low, high, color=colour, alpha=0.2, linewidth=0)
    if len(values) > 1:
        singles = np.where(few, cube[0], np.nan)
        points: dict[str, Any] = {"color": colour, "alpha": 0.5, "linestyle": "none"}
        axes.plot(layers, singles.T, marker=".", markersize=2.2, zorder=1.5, **points)


def _draw_concept_vectors(axes: Axes, frame: pd.DataFrame) -> None:
    """Each concept's vector at its layer: a star on a stem."""
    rows = frame[frame["component"] == CONCEPT_VECTOR]
    axes.vlines(rows["layer"], 0, rows["relative_change"], color="0.6", linewidth=0.6, zorder=1)
    axes.plot(rows["layer"], rows["relative_change"], zorder=4, **_STAR)


_STAR: dict[str, Any] = {
    "color": "black",
    "marker": "*",
    "markersize": 7,
    "markeredgecolor": "white",
    "markeredgewidth": 0.5,
    "linestyle": "none",
}


def _look(component: str, style: Style) -> dict[str, Any]:
    number, _, marker, dashes = _LOOKS[component]
    return {
        "color": sns.color_palette(style.palette, 4)[number],
        "marker": marker,
        "markeredgecolor": "white",
        "markeredgewidth": 0.3,
        "linestyle": (0, dashes) if dashes else "-",
    }


def _phrases(trace: pd.DataFrame, rows: dict[str, pd.DataFrame]) -> list[str]:
    """What is shown, of how many concepts."""
    each = pd.Series([frame["concept"].nunique() for frame in rows.values()])
    phrases = ["Frobenius norm of the difference to the original, relative to the original's"]
    if each.max() > 1:
        phrases.append("lines: mean over concepts")
    if each.max() >= MIN_CONCEPTS:
        phrases.append("bands: 95 % bootstrap intervals over concepts")
    if ((each > 1) & (each < MIN_CONCEPTS)).any():
        phrases.append("small points: single concepts")
    phrases.append(f"n = {canvas.spread(each, 'concept')} per method")
    if not (trace["component"] == CONCEPT_VECTOR).any():
        phrases.append("no concept vector is named in the concept file")
    return phrases


def _legends(figure: Figure, trace: pd.DataFrame, style: Style) -> None:
    """Under each column of panels, its components."""
    present = set(trace["component"])
    for side, components in zip(("left", "right"), _GROUPS.values(), strict=True):
        handles = [
            Line2D([], [], label=_LOOKS[name][1], **_look(name, style))
            for name in components
            if name in present
        ]
        if components is MLP and CONCEPT_VECTOR in present:
            handles.append(Line2D([], [], label="concept vectors", **_STAR))
        where: Any = f"outside lower {side}"  # matplotlib's types do not know it
        figure.legend(handles=handles, loc=where, ncols=2, handlelength=3.2)
