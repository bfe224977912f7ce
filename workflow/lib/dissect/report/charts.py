"""Curves as charts: one that a reader plays with, and a still one per concept and method."""

import json
import re
from collections.abc import Mapping
from typing import Any

import altair as alt
import pandas as pd
import seaborn as sns
import vl_convert

from dissect.figures.style import Style, in_order, label_of, looks_of
from dissect.report.tables import rounded
from dissect.results.curve_groups import DONOR

# Marker of the figures -> the same in Vega.
_SHAPES = {"o": "circle", "s": "square", "^": "triangle-up", "X": "cross", "D": "diamond"}
_KEYS = ["model", "origin", "window", "span", "score", "method", "experiment", "donor"]
_TOP = 1.08
_AXES = {"lowest": -0.2, "first": 0, "last": 1}
_SCORE = "score (1: all is back, 0: nothing)"
_CLIP = re.compile(r"\bclip\d+")
_INK, _GRID = "#374151", "#e5e7eb"

Series = dict[str, Any]


def series(curves: pd.DataFrame, scores: pd.DataFrame) -> list[Series]:
    """All curves that can be chosen, each once: means with their intervals, and single concepts.

    Args:
        curves: rows of tables/curves.csv.
        scores: rows of `concept_scores`.

    Returns:
        per curve: its keys, concept (null for a mean), layer, first, last, value; for a mean also
        low, high and n, the number of concepts.
    """
    means = [
        _series(rows, key, "mean")
        | {name: rounded(rows[name], 3) for name in ("low", "high")}
        | {"concept": None, "n": rows["concepts"].astype(int).tolist()}
        for key, rows in curves.groupby(_KEYS, sort=True)
    ]
    # Control baselines are shown as means only.
    own = scores[scores["donor"] == DONOR]
    singles = [
        _series(rows, key[:-2], "value") | {"concept": key[-2], "concept_name": key[-1]}
        for key, rows in own.groupby([*_KEYS, "concept", "concept_name"], sort=True)
    ]
    return means + singles


def _series(rows: pd.DataFrame, key: tuple[Any, ...], value: str) -> Series:
    rows = rows.sort_values("layer")
    return {
        **dict(zip(_KEYS, key, strict=True)),
        "layer": rows["layer"].astype(int).tolist(),
        "first": rows["first_layer"].astype(int).tolist(),
        "last": rows["last_layer"].astype(int).tolist(),
        "value": rounded(rows[value], 3),
    }


def looks(experiments: list[str], style: Style) -> dict[str, dict[str, Any]]:
    """Per experiment its label, colour, shape and dashes: those of the figures."""
    numbers, markers, dashes = looks_of(experiments)
    colours = sns.color_palette(style.palette, len(numbers)).as_hex()
    return {
        name: {
            "label": label_of(name),
            "colour": colours[numbers[name]],
            "shape": _SHAPES.get(markers[name], "triangle-down"),
            "dash": [round(2 * part, 1) for part in dashes[name]] or [1, 0],
        }
        for name in in_order(experiments)
    }


def explorer(looks: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The chart that the page fills: dataset `rows`; its axes are signals, lowest, first and last.

    A row is one point: kind (mean, single, floor), run (which unbroken line), name (what the
    tooltip calls it), experiment, layer, covers, value, low, high, n.
    """
    # The axes are signals, not read off the rows: there may be none.
    axes = [alt.param(name=name, value=value) for name, value in _AXES.items()]
    nearest = alt.selection_point(
        name="nearest", nearest=True, on="pointerover", clear="pointerout", empty=False
    )
    rows = alt.Chart(alt.NamedData("rows")).encode(
        x=alt.X(
            "layer:Q",
            title="layer (from 0)",
            scale=alt.Scale(
                domain=[alt.ExprRef("first"), alt.ExprRef("last")], nice=False, padding=8
            ),
            axis=alt.Axis(tickMinStep=1, grid=False),
        ),
        y=_y(alt.Scale(domain=[alt.ExprRef("lowest"), _TOP], nice=False)),
        color=_by_experiment(looks, "colour"),
    )
    mean, single, baseline = (
        rows.transform_filter(alt.datum.kind == kind) for kind in ("mean", "single", "floor")
    )
    band = mean.mark_area(opacity=0.16, clip=True).encode(
        y=alt.Y("low:Q", title=_SCORE), y2="high:Q"
    )
    dashes = _dashes(looks)
    lines = mean.mark_line(strokeWidth=2, clip=True).encode(detail="run:N", strokeDash=dashes)
    thin = single.mark_line(strokeWidth=0.9, opacity=0.5, clip=True).encode(
        detail="run:N", strokeDash=dashes
    )
    controls = baseline.mark_line(strokeWidth=1, opacity=0.8, strokeDash=[1, 3], clip=True).encode(
        detail="run:N"
    )
    points = (
        rows.mark_point(filled=True, clip=True, opacity=1, stroke="white", strokeWidth=0.5)
        .encode(
            shape=_by_experiment(looks, "shape"),
            size=alt.when(nearest)
            .then(alt.value(140))
            .when(alt.datum.kind == "mean")
            .then(alt.value(38))
            .otherwise(alt.value(6)),
            tooltip=[
                alt.Tooltip("name:N", title="curve"),
                alt.Tooltip("label:N", title="put back"),
                alt.Tooltip("layer:Q", title="layer"),
                alt.Tooltip("covers:N", title="covers layers"),
                alt.Tooltip("value:Q", title="score", format=".3f"),
                alt.Tooltip("interval:N", title="95 % interval"),
                alt.Tooltip("n:Q", title="concepts"),
            ],
        )
        .add_params(nearest)
    )
    chart = alt.layer(_zero(), band, controls, thin, lines, points).add_params(*axes)
    return _spec(chart.properties(width="container", height=380))


def still(looks: Mapping[str, Mapping[str, Any]], lowest: float) -> dict[str, Any]:
    """The chart of one concept and method, for `svg` to fill.

    Args:
        lowest: where the axis of scores begins, the same for all that are to be compared.
    """
    rows = alt.Chart(alt.NamedData("rows")).encode(
        x=alt.X(
            "layer:Q",
            title="layer (from 0)",
            scale=alt.Scale(nice=False, padding=6),
            axis=alt.Axis(tickMinStep=1, grid=False, tickCount=6),
        ),
        y=_y(alt.Scale(domain=[lowest, _TOP], nice=False)),
        color=_by_experiment(looks, "colour"),
    )
    lines = rows.mark_line(strokeWidth=1.6, clip=True).encode(strokeDash=_dashes(looks))
    points = rows.mark_point(filled=True, size=22, clip=True, opacity=1).encode(
        shape=_by_experiment(looks, "shape")
    )
    return _spec(alt.layer(_zero(), lines, points).properties(width=330, height=190))


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
    names = {
        name: f"clip{number}" for number, name in enumerate(dict.fromkeys(_CLIP.findall(drawn)))
    }
    return _CLIP.sub(lambda match: names[match.group()], drawn)


def _zero() -> Any:
    return (
        alt.Chart(alt.InlineData(values=[{}]))
        .mark_rule(color="#9ca3af")
        .encode(y=alt.datum(0, title=_SCORE))
    )


def _dashes(looks: Mapping[str, Mapping[str, Any]]) -> alt.StrokeDash:
    scale = alt.Scale(domain=list(looks), range=[one["dash"] for one in looks.values()])
    return alt.StrokeDash("experiment:N", legend=None, scale=scale)


def _y(scale: alt.Scale) -> alt.Y:
    return alt.Y("value:Q", title=_SCORE, scale=scale)


def _by_experiment(looks: Mapping[str, Mapping[str, Any]], what: str) -> Any:
    scale = alt.Scale(domain=list(looks), range=[one[what] for one in looks.values()])
    channel = alt.Color if what == "colour" else alt.Shape
    return channel("experiment:N", legend=None, scale=scale)


def _spec(chart: Any) -> dict[str, Any]:
    axis = {
        "labelColor": _INK,
        "titleColor": _INK,
        "titleFontWeight": "normal",
        "gridColor": _GRID,
        "domainColor": "#9ca3af",
        "tickColor": "#9ca3af",
        "labelFontSize": 12,
        "titleFontSize": 12,
    }
    config = {"view": {"stroke": None}, "axis": axis, "font": "DejaVu Sans, sans-serif"}
    chart_spec: dict[str, Any] = {**chart.to_dict(validate=True), "config": config}
    chart_spec.pop("$schema")
    return chart_spec
