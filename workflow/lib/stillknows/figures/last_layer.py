"""How much of the recovery is the last layer's."""

from typing import Any

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stillknows.engine.windows import PREFIX, SUFFIX
from stillknows.figures import canvas, notes
from stillknows.figures.style import EXPERIMENTS, SCORES, Style, in_order

LAST, BEST, OTHERS = "last", "best", "others"
_BY = ["origin", "method", "experiment"]
# Kind of window -> what its last one is called, and the best of its others.
_LABELS = {
    SUFFIX: ("last layer alone", "best longer suffix (its first layer at the right)"),
    PREFIX: ("all layers", "best shorter prefix (its last layer at the right)"),
}
_SLIDING_LABELS = "window centred at the last layer", "best other window (its layer at the right)"


def last_layer_share(concepts: pd.DataFrame) -> pd.DataFrame:
    """_BY, concept, role (last, best, others), value, layer (-1 for others), of the last window."""
    scored = concepts.dropna(subset="value")
    is_last = scored["layer"] == concepts["layer"].max()
    last, others = scored[is_last], scored[~is_last]
    mean = others.groupby([*_BY, "concept"], observed=True, as_index=False)["value"].mean()
    roles = {LAST: last, BEST: canvas.at_best_layer(others, _BY), OTHERS: mean.assign(layer=-1)}
    share: pd.DataFrame = pd.concat([rows.assign(role=role) for role, rows in roles.items()])
    # Where one side has no value there is nothing to compare.
    share = share.merge(last[_BY].drop_duplicates()).merge(others[_BY].drop_duplicates())
    return share.filter([*_BY, "concept", "role", "value", "layer"])


@canvas.styled
def draw_last_layer(concepts: pd.DataFrame, *, style: Style) -> Figure:
    """A panel per method; per experiment the three means over concepts, and each concept."""
    share, first = last_layer_share(concepts), concepts.iloc[0]
    panels = canvas.by_method(concepts)
    experiments = in_order(concepts["experiment"])
    colours = [*sns.color_palette(style.palette, 3)[:2], "0.7"]
    labels = [*_LABELS.get(first["window"], _SLIDING_LABELS), "mean of all others"]
    marks: dict[str, dict[str, Any]] = {
        role: {"color": colour, "marker": marker, "label": label}
        for role, colour, marker, label in zip(
            (LAST, BEST, OTHERS), colours, "Dos", labels, strict=True
        )
    }
    height = (0.42 * len(experiments) + 0.75) * style.font_scale
    legend_height = (0.2 if len(panels) > 1 else 0.5) * style.font_scale
    figure, grid = canvas.new_panels(
        panels, (SCORES[first["score"]], ""), (style.width, height), legend_height, narrow=0.6
    )
    for axes, rows in zip(grid, panels.values(), strict=True):
        shown = share.merge(rows[["method", "origin"]].drop_duplicates())
        _draw_panel(axes, shown, experiments, marks)
        axes.set_xlim(canvas.lowest_shown(share["value"], style), canvas.TOP)
    counts = share.groupby(_BY)["concept"].nunique()
    n = notes.spread(counts, "concept") if len(share) else "no concept with a value"
    outside = notes.outside(share["value"].astype(float), style)
    counted = [f"n = {n} per method", "small: single concepts", *outside]
    setting = notes.setting(first["window"], first["span"])
    notes.heading(figure, first["model"], setting, counted, style)
    entries = [mark | canvas.LARGE_MARK for mark in marks.values()]
    canvas.legend(figure, entries, 3 if len(panels) > 1 else 1, length=2)
    return figure


def _draw_panel(
    axes: Axes, share: pd.DataFrame, experiments: list[str], marks: canvas.LineStyles
) -> None:
    canvas.zero_line(axes, horizontal=False)
    if len(share):
        names = {"x": "value", "y": "experiment", "hue": "role", "order": experiments}
        canvas.add_points(axes, share, names, marks, seed=None)
    beside: dict[str, Any] = {"transform": axes.get_yaxis_transform(), "va": "center"}
    axes.text(1.01, -0.62, "layer", **beside)
    best = share[share["role"] == BEST].groupby("experiment", observed=True)["layer"].first()
    for number, experiment in enumerate(experiments):
        axes.text(1.01, number, f"{best.get(experiment, 'no value')}", **beside)
        if number:
            axes.axhline(number - 0.5, color="0.85", linewidth=0.5, zorder=0)
    axes.set_ylim(len(experiments) - 0.5, -0.5)
    axes.set_yticks(range(len(experiments)), [EXPERIMENTS[name].label for name in experiments])
    axes.tick_params(axis="y", length=0)
