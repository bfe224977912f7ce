"""Curves as charts: one that a reader plays with, and a still one per concept and method."""

import json
import math
import re
from collections.abc import Mapping
from typing import Any

import altair as alt
import pandas as pd
import seaborn as sns
import vl_convert

from dissect.analysis.curve_groups import DONOR
from dissect.figures.style import EXPERIMENTS, Style, in_order

# Marker of the figures -> the same in Vega.
_SHAPES = {"o": "circle", "s": "square", "^": "triangle-up", "X": "cross"}
_KEYS = ["model", "origin", "window", "span", "score", "method", "experiment", "donor"]
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


def series(curves: pd.DataFrame, scores: pd.DataFrame) -> list[dict[str, Any]]:
    """All curves that can be chosen, each once: means with their intervals, and single concepts.

    Args:
        curves: rows of tables/curves.csv.
        scores: rows of `concept_scores`.

    Returns:
        per curve: its keys, concept (null for a mean), layer, first, last, value; for a mean also
        low, high and n, the number of concepts.
    """
    columns = {"layer": "layer", "first_layer": "first", "last_layer": "last", "value": "value"}
    of_mean = columns | {"low": "low", "high": "high", "concepts": "n"}
    means = _series(curves.rename(columns={"mean": "value"}), _KEYS, of_mean)
    of_original = scores[scores["donor"] == DONOR]  # control baselines are shown as means only
    singles = _series(of_original, [*_KEYS, "concept", "concept_name"], columns)
    return [one | {"concept": None} for one in means] + singles


def _series(
    rows: pd.DataFrame, keys: list[str], columns: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Per curve its keys, and under their new names its columns, rounded; null: no value."""
    numbers = rows[list(columns)].round(3)
    nullable = rows.assign(**numbers.astype(object).where(numbers.abs() < math.inf, None))
    return [
        dict(zip(keys, key, strict=True))
        | {name: curve[column].tolist() for column, name in columns.items()}
        for key, curve in nullable.sort_values("layer").groupby(keys, sort=True)
    ]


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


def explorer(looks: Looks) -> dict[str, Any]:
    """The chart that the page fills: dataset `rows`; its axes are signals, lowest, first and last.

    A row is one point: kind (mean, single, floor), run (which unbroken line), name (what the
    tooltip calls it), experiment, layer, covers, value, low, high, n.
    """
    # The axes are signals, not read off the rows: there may be none.
    signals = {"lowest": -0.2, "first": 0, "last": 1}
    nearest = alt.selection_point(
        name="nearest", nearest=True, on="pointerover", clear="pointerout", empty=False
    )
    layers = alt.Scale(domain=[alt.ExprRef("first"), alt.ExprRef("last")], nice=False, padding=8)
    rows = _rows(looks, layers, alt.Axis(tickMinStep=1, grid=False), alt.ExprRef("lowest"))
    mean, single, baseline = (
        rows.transform_filter(alt.datum.kind == kind).encode(detail="run:N")
        for kind in ("mean", "single", "floor")
    )
    band = rows.transform_filter(alt.datum.kind == "mean").mark_area(opacity=0.16, clip=True)
    dashes = _by_experiment(alt.StrokeDash, looks, "dash")
    points = rows.mark_point(filled=True, clip=True, opacity=1, stroke="white", strokeWidth=0.5)
    is_mean = alt.datum.kind == "mean"
    size = alt.when(nearest).then(alt.value(140)).when(is_mean).then(alt.value(38))
    tooltip = [
        alt.Tooltip("name:N", title="curve"),
        alt.Tooltip("label:N", title="put back"),
        alt.Tooltip("layer:Q", title="layer"),
        alt.Tooltip("covers:N", title="covers layers"),
        alt.Tooltip("value:Q", title="score", format=".3f"),
        alt.Tooltip("interval:N", title="95 % interval"),
        alt.Tooltip("n:Q", title="concepts"),
    ]
    shape = _by_experiment(alt.Shape, looks, "shape")
    chart = alt.layer(
        _zero(),
        band.encode(y=alt.Y("low:Q", title=_SCORE), y2="high:Q"),
        baseline.mark_line(strokeWidth=1, opacity=0.8, strokeDash=[1, 3], clip=True),
        single.mark_line(strokeWidth=0.9, opacity=0.5, clip=True).encode(strokeDash=dashes),
        mean.mark_line(strokeWidth=2, clip=True).encode(strokeDash=dashes),
        points.encode(shape=shape, size=size.otherwise(alt.value(6)), tooltip=tooltip).add_params(
            nearest
        ),
    ).add_params(*(alt.param(name=name, value=value) for name, value in signals.items()))
    return _spec(chart.properties(width="container", height=380))


def still(looks: Looks, lowest: float) -> dict[str, Any]:
    """The chart of one concept and method, for `svg` to fill.

    Args:
        lowest: where the axis of scores begins, the same for all that are to be compared.
    """
    axis = alt.Axis(tickMinStep=1, grid=False, tickCount=6)
    rows = _rows(looks, alt.Scale(nice=False, padding=6), axis, lowest)
    lines = rows.mark_line(strokeWidth=1.6, clip=True)
    points = rows.mark_point(filled=True, size=22, clip=True, opacity=1)
    chart = alt.layer(
        _zero(),
        lines.encode(strokeDash=_by_experiment(alt.StrokeDash, looks, "dash")),
        points.encode(shape=_by_experiment(alt.Shape, looks, "shape")),
    )
    return _spec(chart.properties(width=330, height=190))


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


def _rows(looks: Looks, layers: alt.Scale, axis: alt.Axis, lowest: Any) -> alt.Chart:
    """Points of curves, coloured by experiment; the page brings the dataset `rows`."""
    scores = alt.Scale(domain=[lowest, _TOP], nice=False)
    return alt.Chart(alt.NamedData("rows")).encode(
        x=alt.X("layer:Q", title="layer (from 0)", scale=layers, axis=axis),
        y=alt.Y("value:Q", title=_SCORE, scale=scores),
        color=_by_experiment(alt.Color, looks, "colour"),
    )


def _zero() -> Any:
    rule = alt.Chart(alt.InlineData(values=[{}])).mark_rule(color=_GREY)
    return rule.encode(y=alt.datum(0, title=_SCORE))


def _by_experiment(channel: Any, looks: Looks, what: str) -> Any:
    scale = alt.Scale(domain=list(looks), range=[look[what] for look in looks.values()])
    return channel("experiment:N", legend=None, scale=scale)


def _spec(chart: Any) -> dict[str, Any]:
    spec: dict[str, Any] = {**chart.to_dict(validate=True), "config": _CONFIG}
    spec.pop("$schema")
    return spec
