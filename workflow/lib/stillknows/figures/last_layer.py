"""How much of the recovery is the last layer's."""

from typing import Any

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stillknows.engine.windows import PREFIX, SUFFIX
from stillknows.figures import canvas, notes
from stillknows.figures.names import drawn_name
from stillknows.figures.style import EXPERIMENTS, SCORES, Style, in_order

LAST, BEST, OTHERS = "last", "best", "others"
_MARKERS = {LAST: "D", BEST: "o", OTHERS: "s"}
# What each role is called, in this order: of sliding windows, and of other kinds.
_SLIDING_LABELS = (
    "window centred at the last layer",
    "best other window (its layer at the right)",
    "mean of all other windows",
)
_LABELS = {
    SUFFIX: (
        "last layer alone",
        "best longer suffix (its first layer at the right)",
        "mean of all longer suffixes",
    ),
    PREFIX: (
        "all layers",
        "best shorter prefix (its last layer at the right)",
        "mean of all shorter prefixes",
    ),
}
_BY = ["origin", "method", "experiment"]
_DODGE = 0.8  # of a category's height; what seaborn's stripplot uses


def last_layer_share(concepts: pd.DataFrame) -> pd.DataFrame:
    """The last layer's window beside the others, per origin, method, experiment and concept.

    Args:
        concepts: what `concept_scores` returns, of one model, window, span, donor and score.

    Returns:
        _BY, concept, role (last, best, others), value, layer (of last and best; -1 for others).
    """
    scored = concepts.dropna(subset="value")
    is_last = scored["layer"] == concepts["layer"].max()
    last, others = scored[is_last], scored[~is_last]
    mean = others.groupby([*_BY, "concept"], observed=True, as_index=False)["value"].mean()
    roles = {LAST: last, BEST: canvas.at_best_layer(others, _BY), OTHERS: mean.assign(layer=-1)}
    share: pd.DataFrame = pd.concat([rows.assign(role=role) for role, rows in roles.items()])
    # Where one side has no value there is nothing to compare.
    share = share.merge(last[_BY].drop_duplicates()).merge(others[_BY].drop_duplicates())
    return share.filter([*_BY, "concept", "role", "value", "layer"])


def draw_last_layer(concepts: pd.DataFrame, style: Style) -> Figure:
    """A panel per method; per experiment the three means over concepts, and each concept.

    Args:
        concepts: as for `last_layer_share`.
    """
    share = last_layer_share(concepts)
    panels = canvas.by_method(concepts)
    experiments = in_order(concepts["experiment"])
    is_wide = len(panels) > 1
    width = style.width if is_wide else style.width * 0.6
    size = (width, (0.42 * len(experiments) + 0.75) * style.font_scale)
    legend_height = (0.2 if is_wide else 0.5) * style.font_scale
    first = concepts.iloc[0]
    with canvas.applied(style, concepts):
        figure, axes = canvas.new_panels(len(panels), size, legend_height)
        for panel, (name, rows) in zip(axes, panels.items(), strict=True):
            of_panel = share.merge(rows[["method", "origin"]].drop_duplicates())
            _draw_panel(panel, of_panel, experiments, style)
            panel.set_title(drawn_name(name), loc="left")
            panel.set_xlim(canvas.lowest_shown(share["value"], style), canvas.TOP)
            panel.set_xlabel(SCORES[first["score"]])
        each = share.groupby(_BY)["concept"].nunique()
        n = f"n = {notes.spread(each, 'concept') if len(each) else 'no concept with a value'}"
        cut = notes.cut_note(share["value"].astype(float), style)
        counted = [f"{n} per method", notes.LARGE, notes.SMALL, notes.AVERAGED, cut]
        setting = notes.setting(first["window"], first["span"])
        notes.heading(figure, first["model"], setting, counted, style)
        labels = _LABELS.get(first["window"], _SLIDING_LABELS)
        entries = [
            canvas.LARGE_MARK | {"marker": marker, "color": colour, "label": label}
            for marker, colour, label in zip(
                _MARKERS.values(), _colours(style), labels, strict=True
            )
        ]
        canvas.legend(figure, entries, 3 if is_wide else 1, length=2)
    return figure


def _draw_panel(axes: Axes, share: pd.DataFrame, experiments: list[str], style: Style) -> None:
    shared: dict[str, Any] = {
        "x": "value",
        "y": "experiment",
        "order": experiments,
        "hue": "role",
        "hue_order": list(_MARKERS),
        "palette": _colours(style),
        "legend": False,
        "ax": axes,
    }
    canvas.zero_line(axes, horizontal=False)
    if len(share):
        sns.stripplot(share, **shared, dodge=True, jitter=False, size=2.6, alpha=0.5, zorder=2)
        sns.pointplot(
            share,
            **shared,
            **canvas.LARGE_MARK,
            dodge=_DODGE * (1 - 1 / len(_MARKERS)),
            errorbar=None,
            markers=[*_MARKERS.values()],
            zorder=3,
        )
    beside: dict[str, Any] = {"transform": axes.get_yaxis_transform(), "va": "center"}
    axes.text(1.01, -0.62, "layer", **beside)
    best = share[share["role"] == BEST].groupby("experiment", observed=True)["layer"].first()
    for number, experiment in enumerate(experiments):
        axes.text(1.01, number, f"{best.get(experiment, 'no value')}", **beside)
        if number:
            axes.axhline(number - 0.5, color="0.85", linewidth=0.5, zorder=0)
    axes.set_ylim(len(experiments) - 0.5, -0.5)
    labels = [EXPERIMENTS[name].label for name in experiments]
    axes.set_yticks(range(len(experiments)), labels)
    axes.tick_params(axis="y", length=0)
    axes.set_ylabel("")


def _colours(style: Style) -> list[Any]:
    last, best, _ = sns.color_palette(style.palette, 3)
    return [last, best, "0.7"]
