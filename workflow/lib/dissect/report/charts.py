"""What charts of curves share, and the still one per concept and method."""

import json
import re
from collections.abc import Mapping
from typing import Any

import altair as alt
import pandas as pd
import seaborn as sns
import vl_convert

from dissect.figures.style import EXPERIMENTS, Style, in_order

# Marker of the figures -> the same in Vega.
_SHAPES = {"o": "circle", "s": "square", "^": "triangle-up", "X": "cross"}
_TOP = 1.08
_SCORE = "score (1: all is back, 0: nothing)"
_CLIP = re.compile(r"\bclip\d+")
_INK, _GREY = "#374151", "#9ca3af"
_CONFIG = {
    "view": {"stroke": None},
    "axis": {
        "labelColor": _INK,
        "titleColor": _INK,
        "titleFontWeight": "normal",
        "gridColor": "#e5e7eb",
        "domainColor": _GREY,
        "tickColor": _GREY,
        "labelFontSize": 12,
        "titleFontSize": 12,
    },
    "font": "DejaVu Sans, sans-serif",
}

Looks = Mapping[str, Mapping[str, Any]]


def looks(experiments: list[str], style: Style) -> dict[str, dict[str, Any]]:
    """Per experiment its label, colour, shape and dashes: those of the figures."""
    colours = sns.color_palette(style.palette, len(EXPERIMENTS)).as_hex()
    return {
        name: {
            "label": EXPERIMENTS[name].label,
            "colour": colours[EXPERIMENTS[name].colour],
            "shape": _SHAPES[EXPERIMENTS[name].marker],
            "dash": [round(2 * part, 1) for part in EXPERIMENTS[name].dashes] or [1, 0],
        }
        for name in in_order(experiments)
    }


def curve_points(looks: Looks, layers: alt.Scale, axis: alt.Axis, lowest: float) -> alt.Chart:
    """Points of curves, coloured by experiment; without data of its own.

    Args:
        layers, axis: of the layers.
        lowest: where the axis of scores begins.
    """
    scores = alt.Scale(domain=[lowest, _TOP], nice=False)
    # Of the grid only the line where nothing comes back.
    only_zero = alt.condition(alt.datum.value == 0, alt.value(1), alt.value(0))
    up = alt.Axis(gridColor=_GREY, gridOpacity=only_zero)
    return alt.Chart().encode(
        x=alt.X("layer:Q", title="layer (from 0)", scale=layers, axis=axis),
        y=alt.Y("value:Q", title=_SCORE, scale=scores, axis=up),
        color=by_experiment(alt.Color, looks, "colour"),
    )


def by_experiment(channel: Any, looks: Looks, what: str) -> Any:
    """An encoding that shows the experiment by its colour, its shape or its dashes."""
    scale = alt.Scale(domain=list(looks), range=[look[what] for look in looks.values()])
    return channel("experiment:N", legend=None, scale=scale)


def finished(chart: Any) -> dict[str, Any]:
    """A chart as Vega-Lite, in the page's looks."""
    spec: dict[str, Any] = {**chart.to_dict(validate=True), "config": _CONFIG}
    spec.pop("$schema")
    return spec


def still(looks: Looks, lowest: float) -> dict[str, Any]:
    """The chart of one concept and method, for `svg` to fill.

    Args:
        lowest: where the axis of scores begins, the same for all that are to be compared.
    """
    axis = alt.Axis(tickMinStep=1, grid=False, tickCount=6)
    rows = curve_points(looks, alt.Scale(nice=False, padding=6), axis, lowest)
    lines = rows.mark_line(strokeWidth=1.6, clip=True)
    points = rows.mark_point(filled=True, size=22, clip=True, opacity=1)
    chart = alt.layer(
        lines.encode(strokeDash=by_experiment(alt.StrokeDash, looks, "dash")),
        points.encode(shape=by_experiment(alt.Shape, looks, "shape")),
        data=alt.NamedData("rows"),
    )
    return finished(chart.properties(width=330, height=190))


def svg(spec: Mapping[str, Any], scores: pd.DataFrame) -> str:
    """A still chart as SVG.

    Args:
        spec: from `still`.
        scores: rows of `concept_scores` of one concept, method, window, span and score.
    """
    rows = scores[["layer", "experiment", "value"]].sort_values(["experiment", "layer"])
    values = json.loads(rows.to_json(orient="records", double_precision=4))
    # No words for screen readers in it: it stands in an image, which has its own.
    config = {**spec["config"], "aria": False}
    drawn = vl_convert.vegalite_to_svg({**spec, "config": config, "datasets": {"rows": values}})
    # Ids count on through a process; the same chart is to have the same text.
    ids = list(dict.fromkeys(_CLIP.findall(drawn)))
    return _CLIP.sub(lambda match: f"clip{ids.index(match.group())}", drawn)
