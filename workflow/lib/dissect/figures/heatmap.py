"""KRS as a map, layer x concept."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dissect.figures import canvas
from dissect.figures.names import concept_labels, drawn_name
from dissect.figures.style import SCORES, Style, in_order, label_of, layer_label, signed

MARKED_BELOW = -0.1  # cells that carry a dash: in grey, blue and red would look the same


def draw_heatmap(concepts: pd.DataFrame, style: Style) -> Figure:
    """One panel per experiment (rows) and method (columns); colour is each concept's KRS.

    Methods are not averaged: where they differ is what the map is for. Colours are centred at 0
    and cut at `krs_floor` and 1.

    Args:
        concepts: what `concept_scores` returns, of one model, window, span, donor and score.
    """
    plain = canvas.plain(concepts)
    panels = canvas.by_method(plain)
    experiments = in_order(plain["experiment"])
    names = concept_labels(plain)
    columns = canvas.columns_of(len(panels))
    # More methods than columns: all experiments of the first ones, then those of the next.
    blocks = [list(panels)[i : i + columns] for i in range(0, len(panels), columns)]
    rows = [(block, experiment) for block in blocks for experiment in experiments]
    heights = max(len(names) * 0.115, 0.35) + 0.24
    size = (style.width, (len(rows) * heights + 0.4 * len(blocks) + 0.2) * style.font_scale)
    with canvas.applied(style, plain):
        figure, grid = canvas.new_figure(size, len(rows), columns, sharex=True, sharey=True)
        for axes, (block, experiment) in zip(grid, rows, strict=True):
            for spare in axes[len(block) :]:
                spare.remove()
            for panel, name in zip(axes, block, strict=False):
                part = panels[name][panels[name]["experiment"] == experiment]
                _panel(panel, _values(part, plain, names), names, style)
            _titles(axes, block, experiment, first=experiment == experiments[0])
        figure.supxlabel(layer_label(plain["window"].iloc[0]), fontsize=8 * style.font_scale)
        _finish(figure, grid, plain, style)
    return figure


def _values(part: pd.DataFrame, every: pd.DataFrame, names: dict[str, str]) -> pd.DataFrame:
    """Values as (concepts, layers); null where there is none."""
    layers = range(every["layer"].min(), every["layer"].max() + 1)
    values = part.pivot(index="concept", columns="layer", values="value")
    return values.reindex(index=list(names), columns=layers)


def _titles(axes: Sequence[Axes], block: list[str], experiment: str, first: bool) -> None:
    """The experiment at the left of its row; over a block's first row, the methods."""
    for panel, name in zip(axes, block, strict=False):
        method = [drawn_name(part) for part in name.split(", ")] if first else []
        row = label_of(experiment) if panel is axes[0] else ""
        panel.set_title("\n".join([*method, row]), loc="left")


def _panel(axes: Axes, values: pd.DataFrame, names: dict[str, str], style: Style) -> None:
    """Values (concepts, layers) as colours; grey where there is none, a dash where negative."""
    array = values.to_numpy(dtype=float)
    axes.set_facecolor("0.8")
    sns.heatmap(
        array,
        vmin=style.krs_floor,
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
    dark = array[concept, layer] < style.krs_floor / 2
    ink = np.where(dark, "white", "black")
    axes.scatter(layer + 0.5, concept + 0.5, marker="_", s=4, color=ink, linewidths=0.6)
    layers = [int(layer) for layer in values.columns]
    ticks = [layer for layer in layers if layer % 5 == 0]
    axes.set_xticks([layers.index(layer) + 0.5 for layer in ticks], [str(tick) for tick in ticks])
    axes.tick_params(axis="y", length=0, rotation=0)
    axes.tick_params(axis="x", rotation=0)


def _finish(figure: Figure, grid: Any, concepts: pd.DataFrame, style: Style) -> None:
    first = concepts.iloc[0]
    below = bool((concepts["value"] < style.krs_floor).any())
    bar = figure.colorbar(
        grid[0, 0].collections[0],
        ax=figure.axes,
        extend="min" if below else "neither",
        aspect=40,
        pad=0.01,
    )
    bar.set_label(SCORES.get(first["score"], ["", first["score"]])[1])
    bar.outline.set_visible(False)
    present = concepts[concepts["value"].notna()]
    questions = (
        canvas.spread(present["questions"], "question") if len(present) else "none has a value"
    )
    phrases = [
        *canvas.setting(first["window"], first["span"]),
        f"each concept: mean over its questions ({questions})",
        f"dash: below {signed(MARKED_BELOW)}",
        "grey: no value",
        canvas.cut_note(concepts["value"], style, "colours"),
    ]
    canvas.title(figure, first["model"], phrases, style)
