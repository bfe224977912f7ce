"""The interactive chart: all curves, and the controls by which Vega-Lite selects among them."""

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import altair as alt
import pandas as pd
import seaborn as sns

from stillknows.analysis.tables import ALL_METHODS, DONOR
from stillknows.figures.canvas import TOP, lowest_shown
from stillknows.figures.style import COLOURS, EXPERIMENTS, Style, in_order, window_label
from stillknows.report.sources import DASH, Shown, name_of
from stillknows.report.tables import ORIGINS
from stillknows.terms import KNOWN_STATE

# What is said of a point, at the pointer and in the table under the chart.
COLUMNS = ("patched", "curve", "layer", "covers layers", "recovery", "95 % interval", "concepts")
# Marker of the figures -> the same in Vega.
_SHAPES = {
    **{"o": "circle", "s": "square", "X": "cross", "d": "diamond"},
    **{"^": "triangle-up", "v": "triangle-down", ">": "triangle-right", "<": "triangle-left"},
}
_AXIS = {
    "gridColor": "#9ca3af",
    "labelFontSize": 12,
    "titleFontSize": 12,
    "titleFontWeight": "normal",
}
# Columns by which a reader selects.
_CHOICES = ["model", "origin", "window", "span", "score", "method", "concept"]
_OVER_CONCEPTS = "mean over concepts"
_NUMBERS = ["value", "low", "high", "concepts"]
_LISTS: list[Any] = ["layer", "covers layers", *_NUMBERS]
# Vega's expressions. The selected curves lead; others are drawn beside them where a box is ticked.
_KIND = "datum.donor != 'original' ? 'control' : datum.concept == concept ? 'main' : 'single'"
_IS_SINGLE = f"datum.kind == 'single' && singles && datum.concept != '{_OVER_CONCEPTS}'"
_IS_DRAWN = f"datum.kind == 'main' || (datum.kind == 'control' && controls) || ({_IS_SINGLE})"
_TEXTS = {
    "recovery": "format(datum.value, '.3f')",
    "95 % interval": "isValid(datum.low) ? "
    "format(datum.low, '.3f') + ' to ' + format(datum.high, '.3f') : 'none'",
}
# Under the pointer is the area nearest to a point; its datum is the point, which has its own.
_READING = ", ".join(f"'{name}': (datum.datum || datum)['{name}']" for name in COLUMNS)

Looks = Mapping[str, Mapping[str, Any]]


def looks_of(experiments: Iterable[str], style: Style) -> dict[str, dict[str, Any]]:
    """Per experiment its label, colour, shape and dashes: those of the figures."""
    colours = sns.color_palette(style.palette, COLOURS).as_hex()
    looks = {name: EXPERIMENTS[name] for name in in_order(experiments)}
    return {
        name: {
            "label": look.label,
            "colour": "#000000" if look.colour is None else colours[look.colour],
            "shape": _SHAPES[look.marker],
            "dash": [round(2 * part, 1) for part in look.dashes] or [1, 0],
        }
        for name, look in looks.items()
    }


def explorer(
    curves: pd.DataFrame, scores: pd.DataFrame, shown: Shown, looks: Looks, style: Style
) -> dict[str, Any]:
    """The chart of all rows of tables/curves.csv, with the controls that select among them."""
    # Choice -> its names and what the page calls them, in the order in which they are offered.
    words = {
        "origin": ORIGINS,
        "window": {name: window_label(name).removesuffix(" patched") for name in shown.windows},
        "span": {name: name_of(name) for name in shown.spans},
        "score": {name: name_of(name) for name in shown.scores},
        "method": {ALL_METHODS: "mean over methods"},
        "concept": {"": _OVER_CONCEPTS},
    }
    rows = _all_curves(curves, scores).replace(words)
    lowest = lowest_shown(curves["mean"], style)
    same = [f"datum.{name} == {name}" for name in _CHOICES if name != "concept"]
    ticked = ", ".join(f"{name}: {name}" for name in looks)
    chart = (
        alt.layer(*_marks(rows, lowest, looks), data=alt.NamedData("curves"))
        .transform_filter(" && ".join([*same, f"{{{ticked}}}[datum.experiment]"]))
        .transform_calculate(kind=_KIND)
        .transform_filter(_IS_DRAWN)
        .transform_flatten(_LISTS)
        .transform_calculate(**_TEXTS)
        .add_params(*_controls(rows, words, looks))
        .properties(width="container", height=380)
        .configure(font="DejaVu Sans, sans-serif", view={"stroke": None}, axis=_AXIS)
    )
    spec: dict[str, Any] = chart.to_dict() | {"datasets": {"curves": _series(rows, looks)}}
    del spec["$schema"]  # an address, with another version than that of the page's Vega-Lite
    return spec


def _all_curves(curves: pd.DataFrame, scores: pd.DataFrame) -> pd.DataFrame:
    """Single concepts, also as means over methods, and means over concepts (concept "")."""
    singles = scores[scores["donor"] == DONOR]  # control baselines are shown as means only
    singles = singles.assign(concept=singles["concept_name"], concepts=1)
    averaged = singles[singles["origin"] != KNOWN_STATE].assign(method=ALL_METHODS)
    keys = [*_CHOICES, "experiment", "donor", "layer", "first_layer", "last_layer", "concepts"]
    over_methods = averaged.groupby(keys, as_index=False).agg(value=("value", "mean"))
    means = curves.rename(columns={"mean": "value"}).assign(concept="")
    return pd.concat([over_methods, singles, means], ignore_index=True)


def _series(rows: pd.DataFrame, looks: Looks) -> list[dict[str, Any]]:
    """Per curve its choices, experiment, donor and names, and a list (null: no value) of each
    _LISTS.
    """
    numbers = rows[_NUMBERS].round(3)
    rows[_NUMBERS] = numbers.astype(object).where(numbers.abs() < math.inf, None)
    rows["covers layers"] = rows["first_layer"].astype(str) + DASH + rows["last_layer"].astype(str)
    rows["patched"] = rows["experiment"].map(lambda name: looks[name]["label"])
    control = "control: " + rows["donor"].str.replace("_", " ")
    rows["curve"] = control.where(rows["donor"] != DONOR, rows["concept"] + ", " + rows["method"])
    keys = [*_CHOICES, "experiment", "donor", "patched", "curve"]
    return [
        dict(zip(keys, key, strict=True))
        | {name: curve[name].tolist() if curve[name].notna().any() else [] for name in _LISTS}
        for key, curve in rows.sort_values("layer", kind="stable").groupby(keys, sort=False)
    ]


def _controls(
    rows: pd.DataFrame, words: Mapping[str, Mapping[str, str]], looks: Looks
) -> Iterator[alt.Parameter]:
    """What a reader selects; where there is no choice, a parameter without an input."""
    for name in _CHOICES:
        present = set(rows[name])
        ordered = [word for word in words.get(name, {}).values() if word in present]
        options = ordered + sorted(present.difference(ordered), key=str.lower)
        select = alt.binding_select(options=options, name=name.capitalize())
        bind = select if len(options) > 1 else alt.Undefined
        yield alt.param(name=name, value=options[0], bind=bind)
    boxes = {name: (look["label"], True) for name, look in looks.items()}
    boxes |= {"singles": ("single concepts (thin lines)", False)}
    boxes |= {"controls": ("control baselines (dotted)", True)}
    for name, (label, value) in boxes.items():
        is_bound = name != "controls" or (rows["donor"] != DONOR).any()
        box = alt.binding_checkbox(name=label) if is_bound else alt.Undefined
        yield alt.param(name=name, value=value, bind=box)


def _marks(rows: pd.DataFrame, lowest: float, looks: Looks) -> Iterator[alt.Chart]:
    """Bands, lines, and points; the point that is nearest to the pointer shows its numbers."""

    def by_experiment(channel: Any, what: str) -> Any:
        scale = alt.Scale(domain=list(looks), range=[look[what] for look in looks.values()])
        return channel("experiment:N", legend=None, scale=scale)

    # The axes are the same whatever is selected. Of the grid only the line of no recovery.
    last = json.dumps(rows.groupby("model")["layer"].max().to_dict())
    layers = alt.Scale(domain=[0, alt.ExprRef(f"{last}[model]")], nice=False, padding=8)
    scores = alt.Scale(domain=[lowest, TOP], nice=False)
    only_zero = alt.condition(alt.datum.value == 0, alt.value(1), alt.value(0))
    x_axis, y_axis = alt.Axis(tickMinStep=1, grid=False), alt.Axis(gridOpacity=only_zero)
    curves = alt.Chart().encode(
        alt.X("layer:Q", scale=layers, axis=x_axis, title="layer (from 0)"),
        alt.Y("value:Q", scale=scores, axis=y_axis, title="score (1: full recovery, 0: none)"),
        by_experiment(alt.Color, "colour"),
    )
    is_main, is_control = (alt.datum.kind == kind for kind in ("main", "control"))
    yield curves.mark_area(opacity=0.16, clip=True).encode(y="low:Q", y2="high:Q", detail="curve:N")
    dashes = by_experiment(alt.StrokeDash, "dash")
    yield curves.mark_line(clip=True).encode(
        detail="curve:N",
        strokeDash=alt.when(is_control).then(alt.value([1, 3])).otherwise(dashes),
        strokeWidth=alt.when(is_main).then(alt.value(2)).otherwise(alt.value(0.9)),
        opacity=alt.when(is_main).then(alt.value(1)).otherwise(alt.value(0.6)),
    )
    nearest = alt.selection_point(
        name="nearest", nearest=True, on="pointerover", clear="pointerout", empty=False
    )
    size = alt.when(nearest).then(alt.value(140)).when(is_main).then(alt.value(38))
    points = curves.mark_point(filled=True, clip=True, opacity=1, stroke="white", strokeWidth=0.5)
    yield (
        points.encode(
            shape=by_experiment(alt.Shape, "shape"),
            size=size.otherwise(alt.value(6)),
            tooltip=alt.value(alt.ExprRef(f"{{{_READING}}}")),
        )
        .add_params(nearest)
        .properties(name="points")
    )
