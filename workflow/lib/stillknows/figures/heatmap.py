"""KRS as a map, layer x concept."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stillknows.figures import canvas, notes
from stillknows.figures.names import concept_labels, drawn_name
from stillknows.figures.style import EXPERIMENTS, SHORT_SCORES, Style, in_order, layer_label

_MARKED_BELOW = -0.1  # cells that carry a dash: in grey, blue and red would look the same


@canvas.styled
def draw_heatmap(concepts: pd.DataFrame, *, style: Style) -> Figure:
    """One panel per experiment (rows) and method (columns); colour is each concept's KRS."""
    panels = canvas.by_method(concepts)
    experiments = in_order(concepts["experiment"])
    names = concept_labels(concepts)
    layers = range(concepts["layer"].min(), concepts["layer"].max() + 1)
    columns = canvas.columns_of(len(panels))
    # More methods than columns: all experiments of the first ones, then those of the next.
    blocks = [list(panels)[i : i + columns] for i in range(0, len(panels), columns)]
    rows = [(block, experiment) for block in blocks for experiment in experiments]
    height = max(len(names) * 0.115, 0.35) + 0.24
    size = (style.width, (len(rows) * height + 0.4 * len(blocks) + 0.2) * style.font_scale)
    figure, grid = canvas.new_grid(size, len(rows), columns, sharex=True)
    for axes, (block, experiment) in zip(grid, rows, strict=True):
        for spare in axes[len(block) :]:
            spare.remove()
        for panel, method in zip(axes, block, strict=False):
            shown = panels[method][panels[method]["experiment"] == experiment]
            values = shown.pivot(index="concept", columns="layer", values="value")
            _draw_panel(panel, values.reindex(index=list(names), columns=layers), names, style)
            above = map(drawn_name, method.split(", ") if experiment == experiments[0] else ())
            label = EXPERIMENTS[experiment].label if panel is axes[0] else ""
            panel.set_title("\n".join([*above, label]), loc="left")
    first = concepts.iloc[0]
    figure.supxlabel(layer_label(first["window"]), fontsize=8 * style.font_scale)
    is_cut = bool((concepts["value"] < style.krs_minimum).any())
    options: dict[str, Any] = {"extend": "min" if is_cut else "neither", "aspect": 40, "pad": 0.01}
    bar = figure.colorbar(figure.axes[0].collections[0], ax=figure.axes, **options)
    bar.set_label(SHORT_SCORES[first["score"]])
    bar.outline.set_visible(False)

    questions = concepts.loc[concepts["value"].notna(), "questions"]
    counted = notes.spread(questions, "question") if len(questions) else "no question with a value"
    words = [
        f"each concept: mean over its questions (n = {counted})",
        f"dash: below {notes.signed(_MARKED_BELOW)}",
        "grey: no value",
        *notes.outside(concepts["value"], style, "colours"),
    ]
    setting = notes.setting(first["window"], first["span"])
    notes.heading(figure, first["model"], setting, words, style)
    return figure


def _draw_panel(axes: Axes, values: pd.DataFrame, names: Mapping[str, str], style: Style) -> None:
    """Values (concepts, layers) as colours; grey where there is none, a dash where negative."""
    array = values.to_numpy(dtype=float)
    axes.set_facecolor("0.8")
    sns.heatmap(
        array,
        vmin=style.krs_minimum,
        vmax=1,
        center=0,
        cmap=style.heatmap_palette,
        cbar=False,
        xticklabels=False,
        yticklabels=list(names.values()),
        rasterized=True,
        ax=axes,
    )
    concept, layer = np.nonzero(array < _MARKED_BELOW)
    ink = np.where(array[concept, layer] < style.krs_minimum / 2, "white", "black")
    axes.scatter(layer + 0.5, concept + 0.5, marker="_", s=4, color=ink, linewidths=0.6)
    layers = values.columns.to_numpy(dtype=int)
    is_tick = layers % 5 == 0
    axes.set_xticks(np.flatnonzero(is_tick) + 0.5, [str(layer) for layer in layers[is_tick]])
    axes.tick_params(axis="y", length=0, rotation=0)
    axes.tick_params(axis="x", rotation=0)
