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

MARKED_BELOW = -0.1  # cells that carry a dash: in grey, blue and red would look the same


def draw_heatmap(concepts: pd.DataFrame, style: Style) -> Figure:
    """One panel per experiment (rows) and method (columns); colour is each concept's KRS.

    Methods are not averaged: where they differ is what the map is for. Colours are centred at 0
    and cut at `krs_minimum` and 1.

    Args:
        concepts: what `concept_scores` returns, of one model, window, span, donor and score.
    """
    panels = canvas.by_method(concepts)
    experiments = in_order(concepts["experiment"])
    names = concept_labels(concepts)
    columns = canvas.columns_of(len(panels))
    # More methods than columns: all experiments of the first ones, then those of the next.
    blocks = [list(panels)[i : i + columns] for i in range(0, len(panels), columns)]
    rows = [(block, experiment) for block in blocks for experiment in experiments]
    height = max(len(names) * 0.115, 0.35) + 0.24
    size = (style.width, (len(rows) * height + 0.4 * len(blocks) + 0.2) * style.font_scale)
    with canvas.applied(style, concepts):
        figure, grid = canvas.new_grid(size, len(rows), columns, sharex=True)
        for axes, (block, experiment) in zip(grid, rows, strict=True):
            for spare in axes[len(block) :]:
                spare.remove()
            for panel, method in zip(axes, block, strict=False):
                of_panel = panels[method][panels[method]["experiment"] == experiment]
                _draw_panel(panel, _values(of_panel, concepts["layer"], names), names, style)
                first_row = [drawn_name(part) for part in method.split(", ")]
                label = EXPERIMENTS[experiment].label if panel is axes[0] else ""
                above = first_row if experiment == experiments[0] else []
                panel.set_title("\n".join([*above, label]), loc="left")
        first = concepts.iloc[0]
        figure.supxlabel(layer_label(first["window"]), fontsize=8 * style.font_scale)
        _colour_bar(figure, concepts, style)
        _title(figure, concepts, style)
    return figure


def _values(rows: pd.DataFrame, layers: "pd.Series[int]", names: Mapping[str, str]) -> pd.DataFrame:
    """Values as (concepts, all layers); null where there is none."""
    values = rows.pivot(index="concept", columns="layer", values="value")
    return values.reindex(index=list(names), columns=range(layers.min(), layers.max() + 1))


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
    concept, layer = np.nonzero(array < MARKED_BELOW)
    ink = np.where(array[concept, layer] < style.krs_minimum / 2, "white", "black")
    axes.scatter(layer + 0.5, concept + 0.5, marker="_", s=4, color=ink, linewidths=0.6)
    layers = values.columns.to_numpy(dtype=int)
    is_tick = layers % 5 == 0
    axes.set_xticks(np.flatnonzero(is_tick) + 0.5, [str(layer) for layer in layers[is_tick]])
    axes.tick_params(axis="y", length=0, rotation=0)
    axes.tick_params(axis="x", rotation=0)


def _colour_bar(figure: Figure, concepts: pd.DataFrame, style: Style) -> None:
    is_cut = bool((concepts["value"] < style.krs_minimum).any())
    options: dict[str, Any] = {"extend": "min" if is_cut else "neither", "aspect": 40, "pad": 0.01}
    bar = figure.colorbar(figure.axes[0].collections[0], ax=figure.axes, **options)
    bar.set_label(SHORT_SCORES[concepts["score"].iloc[0]])
    bar.outline.set_visible(False)


def _title(figure: Figure, concepts: pd.DataFrame, style: Style) -> None:
    """What is shown, of how many questions, and what marks and grey are."""
    first = concepts.iloc[0]
    questions = concepts.loc[concepts["value"].notna(), "questions"]
    counted = notes.spread(questions, "question") if len(questions) else "no question with a value"
    words = [
        f"each concept: mean over its questions (n = {counted})",
        f"dash: below {notes.signed(MARKED_BELOW)}",
        "grey: no value",
        notes.cut_note(concepts["value"], style, "colours"),
    ]
    setting = notes.setting(first["window"], first["span"])
    notes.heading(figure, first["model"], setting, words, style)
