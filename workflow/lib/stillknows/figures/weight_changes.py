"""How far each component's weights moved, layer by layer, and the concept vectors among them."""

from typing import Any

import pandas as pd
from matplotlib.figure import Figure

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
# Title of a column of panels -> its components, and where their legend is.
_GROUPS = {"attention": (ATTENTION_MAPS, "left"), "MLP": ((*MLP_MAPS, CONCEPT_VECTOR), "right")}


@canvas.styled
def draw_weight_changes(weight_changes: pd.DataFrame, *, style: Style, seed: int) -> Figure:
    """A row of panels per method (and origin): attention at the left, MLP at the right."""
    panels = canvas.by_method(weight_changes)
    styles = canvas.line_styles(_LOOKS, style, 4) | {CONCEPT_VECTOR: _STAR}
    size = (style.width, len(panels) * (style.panel_height + 0.15) + 0.55 * style.font_scale)
    figure, grid = canvas.new_grid(size, len(panels), len(_GROUPS), sharex=True)
    for row, (title, rows) in zip(grid, panels.items(), strict=True):
        for axes, (group, (components, _)) in zip(row, _GROUPS.items(), strict=True):
            axes.set_title(f"{drawn_name(title)}: {group}", loc="left")
            for component in components:
                changes = rows[rows["component"] == component]
                if component == CONCEPT_VECTOR:  # each at its layer: a star on a stem
                    x, y = changes["layer"], changes["relative_change"]
                    axes.vlines(x, 0, y, color="0.6", linewidth=0.6, zorder=1)
                    axes.plot(x, y, zorder=4, **_STAR)
                elif changes["relative_change"].notna().any():
                    values = changes.pivot(
                        index="concept", columns="layer", values="relative_change"
                    )
                    canvas.add_mean(axes, values, styles[component], seed)
        row[0].set_ylabel("relative change of the weights")
    for axes in grid[-1]:
        axes.set_xlabel("layer (from 0)")
        canvas.layer_ticks(axes)
    grid[0, 0].set_ylim(bottom=0)

    present = set(weight_changes["component"])
    concepts = [rows["concept"].nunique() for rows in panels.values()]
    counted = [
        f"n = {notes.spread(concepts, 'concept')} per method",
        *notes.uncertainty(count for count in concepts if count > 1),
        "" if CONCEPT_VECTOR in present else "no concept vector is named in the concept file",
    ]
    shown = ["Frobenius norm of the difference to the original, relative to the original's"]
    notes.heading(figure, str(weight_changes["model"].iloc[0]), shown, counted, style)
    for components, side in _GROUPS.values():
        entries = [styles[name] for name in components if name in present]
        canvas.legend(figure, entries, 2, side)
    return figure
