"""How much of the recovery is the last layer's."""

from typing import Any

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from dissect.figures import canvas
from dissect.figures.names import drawn_name
from dissect.figures.style import SCORES, Style, in_order, label_of
from dissect.study.windows import SUFFIX

LAST, BEST, OTHERS = "last", "best", "others"
_MARKERS = {LAST: "D", BEST: "o", OTHERS: "s"}
_WORDS = {
    LAST: "window centred at the last layer",
    BEST: "best other window (its layer at the right)",
    OTHERS: "mean of all other windows",
}
_SUFFIX_WORDS = {
    LAST: "last layer alone",
    BEST: "best longer suffix (its first layer at the right)",
    OTHERS: "mean of all longer suffixes",
}
_BY = ["origin", "method", "experiment"]
_DODGE = 0.8  # of a category's height; what seaborn's stripplot uses


def last_layer_share(concepts: pd.DataFrame) -> pd.DataFrame:
    """The last layer's window beside the others, per origin, method, experiment and concept.

    The best other window is the one whose mean over concepts is highest: the same layer for all
    concepts, so that a concept's own luck cannot choose it.

    Args:
        concepts: what `concept_scores` returns, of one model, window, span, donor and score.

    Returns:
        _BY, concept, role (last, best, others), value, layer (of last and best; -1 for others).
    """
    plain = canvas.plain(concepts)
    shares: list[pd.DataFrame] = []
    for key, frame in plain[plain["value"].notna()].groupby(_BY, sort=True):
        values = frame.pivot(index="concept", columns="layer", values="value")
        last = plain["layer"].max()
        others = values.drop(columns=last, errors="ignore")
        if last not in values or others.empty:
            continue
        best = others.mean().idxmax()
        for role, column, layer in (
            (LAST, values[last], last),
            (BEST, others[best], best),
            (OTHERS, others.mean(axis=1), -1),
        ):
            rows = column.dropna().rename("value").reset_index()
            shares.append(rows.assign(**dict(zip(_BY, key, strict=True)), role=role, layer=layer))
    columns = [*_BY, "concept", "role", "value", "layer"]
    return (
        pd.concat(shares, ignore_index=True)[columns] if shares else pd.DataFrame(columns=columns)
    )


def draw_last_layer(concepts: pd.DataFrame, style: Style) -> Figure:
    """A panel per method; per experiment the three means over concepts, and each concept.

    Args:
        concepts: as for `last_layer_share`.
    """
    plain = canvas.plain(concepts)
    share = last_layer_share(plain)
    panels = canvas.by_method(plain)
    experiments = in_order(plain["experiment"])
    columns = canvas.columns_of(len(panels))
    rows = -(-len(panels) // columns)
    width = style.width if columns > 1 else style.width * 0.6
    legend = 0.2 if columns > 1 else 0.5
    size = (width, (rows * (0.42 * len(experiments) + 0.75) + legend) * style.font_scale)
    with canvas.applied(style, plain):
        figure, grid = canvas.new_figure(size, rows, columns, sharex=True, sharey=True)
        for spare in grid.flat[len(panels) :]:
            spare.remove()
        for panel, (name, frame) in zip(grid.flat, panels.items(), strict=False):
            first = frame.iloc[0]
            of_method = share[share["method"] == first["method"]]
            _panel(panel, of_method[of_method["origin"] == first["origin"]], experiments, style)
            panel.set_title(drawn_name(name), loc="left")
            panel.set_xlim(canvas.score_floor(share["value"], style), canvas.TOP)
            panel.set_xlabel(SCORES.get(first["score"], [first["score"]])[0])
            panel.tick_params(labelbottom=True)
            panel.xaxis.label.set_visible(True)
        _finish(figure, plain, share, style)
    return figure


def _panel(axes: Axes, share: pd.DataFrame, experiments: list[str], style: Style) -> None:
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
            dodge=_DODGE * (1 - 1 / len(_MARKERS)),
            errorbar=None,
            linestyle="none",
            markers=list(_MARKERS.values()),
            markersize=5,
            markeredgecolor="black",
            markeredgewidth=0.5,
            zorder=3,
        )
    axes.text(1.01, -0.62, "layer", transform=axes.get_yaxis_transform(), va="center")
    for number, experiment in enumerate(experiments):
        best = share[(share["experiment"] == experiment) & (share["role"] == BEST)]
        words = f"{best['layer'].iloc[0]}" if len(best) else "no value"
        axes.text(1.01, number, words, transform=axes.get_yaxis_transform(), va="center")
        if number:
            axes.axhline(number - 0.5, color="0.85", linewidth=0.5, zorder=0)
    axes.set_ylim(len(experiments) - 0.5, -0.5)
    axes.set_yticks(range(len(experiments)), [label_of(name) for name in experiments])
    axes.tick_params(axis="y", length=0)
    axes.set_ylabel("")


def _colours(style: Style) -> dict[str, Any]:
    dark, *rest = sns.color_palette(style.palette, 3)
    return dict(zip(_MARKERS, [dark, rest[0], "0.7"], strict=True))


def _finish(figure: Figure, concepts: pd.DataFrame, share: pd.DataFrame, style: Style) -> None:
    first = concepts.iloc[0]
    each = share.groupby(_BY)["concept"].nunique()
    concepts_each = canvas.spread(each, "concept") if len(each) else "no concept with a value"
    phrases = [
        *canvas.setting(first["window"], first["span"]),
        "large: mean over questions, then concepts",
        "small: single concepts",
        f"n = {concepts_each} per method",
        canvas.cut_note(share["value"].astype(float), style),
    ]
    canvas.title(figure, first["model"], phrases, style)
    palette = _colours(style)
    words = _SUFFIX_WORDS if first["window"] == SUFFIX else _WORDS
    handles = [
        Line2D(
            [],
            [],
            linestyle="none",
            marker=marker,
            color=palette[role],
            markersize=5,
            markeredgecolor="black",
            markeredgewidth=0.5,
            label=words[role],
        )
        for role, marker in _MARKERS.items()
    ]
    columns = 3 if len(figure.axes) > 1 else 1
    figure.legend(handles=handles, loc="outside lower center", ncols=columns)
