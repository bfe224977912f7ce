"""Curves against layer: the paper's figure, the same per method, and the noising ratio."""

import math
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stillknows.analysis.tables import ALL_METHODS, DONOR
from stillknows.figures import canvas, notes
from stillknows.figures.style import SCORES, Style, layer_label
from stillknows.terms import NOISING_RATIO, REFERENCE

# Of a reference model in the panels of copies.
REFERENCE_LINE: dict[str, Any] = {
    "label": "reference model",
    "color": "0.45",
    "linestyle": (0, (2.5, 1.2)),
    "linewidth": 1.1,
    "marker": "o",
    "markersize": 2.6,
    "markerfacecolor": "white",
    "markeredgewidth": 0.6,
    "zorder": 1.9,
}
_HOLLOW_MARKS = 6  # at about so many points of its lines: more would hide the dashes
_BASELINES: dict[str, tuple[str, Any]] = {  # donor -> its name in the legend, its dashes
    "other_question": ("other question", (0, (6, 1.5))),
    "noise": ("noise", (0, (1, 2))),
    "aligned_question": ("aligned question", (0, (3, 1.5))),
    "mean_of_questions": ("mean of questions", (0, (6, 1.5, 1, 1.5))),
    "reference": ("reference model", "solid"),
}
_NO_SINGLES = pd.DataFrame(columns=["experiment", "concept", "layer", "value"])
_NOISING_SCALE = "1 = as far from the original's logits as the unlearned model, 0 = no change"


@canvas.styled
def draw_curves(curves: pd.DataFrame, *, style: Style) -> Figure:
    """The paper's figure: a curve per experiment, mean over questions, concepts, then methods."""
    overall = curves[(curves["method"] == ALL_METHODS) & (curves["donor"] == DONOR)]
    overall = overall.assign(low=math.nan, high=math.nan)  # the paper's figure has no bands
    panels = {str(origin): (rows, _NO_SINGLES) for origin, rows in overall.groupby("origin")}
    if len(panels) == 1:
        panels = {"": (overall, _NO_SINGLES)}
    return _draw_recovery(curves, panels, [], style)


@canvas.styled
def draw_curves_by_method(curves: pd.DataFrame, concepts: pd.DataFrame, *, style: Style) -> Figure:
    """A panel per method: means over concepts, with a band, or with the single concepts."""
    means = curves[(curves["method"] != ALL_METHODS) & (curves["donor"] == DONOR)]
    panels = canvas.method_panels(means, concepts)
    return _draw_recovery(curves, panels, notes.uncertainty(canvas.concept_counts(panels)), style)


@canvas.styled
def draw_noising_ratio(curves: pd.DataFrame, concepts: pd.DataFrame, *, style: Style) -> Figure:
    """As `draw_curves_by_method`: how far the copy's parts take the original from its logits."""
    means = curves[(curves["score"] == NOISING_RATIO) & (curves["method"] != ALL_METHODS)]
    panels = canvas.method_panels(means, concepts[concepts["score"] == NOISING_RATIO])
    figure = _draw_panels(panels, [], "noising ratio", style)
    first, uncertainty = means.iloc[0], notes.uncertainty(canvas.concept_counts(panels))
    total, *more = notes.counted(means)
    setting = notes.setting(first["window"], first["span"], _NOISING_SCALE)
    notes.heading(figure, first["model"], setting, [total, *uncertainty, *more], style)
    return figure


def _draw_recovery(
    curves: pd.DataFrame, panels: canvas.Panels, words: list[str], style: Style
) -> Figure:
    """Panels of recovery, with the control baselines that reach into the axis."""
    first = next(iter(panels.values()))[0].iloc[0]
    shown = canvas.values_shown(panels)
    end = canvas.lowest_shown(shown, style)
    controls = curves[curves["donor"] != DONOR]
    controls = controls[(controls["method"] == ALL_METHODS) == (first["method"] == ALL_METHODS)]
    # The most that each control gives back anywhere, also below the end of the axis.
    highest = controls.groupby("donor")["mean"].max().reindex(list(_BASELINES)).dropna()
    baselines = [_baseline(str(donor)) for donor in highest[highest >= end].index]
    figure = _draw_panels(panels, baselines, SCORES[first["score"]], style)
    for axes, (means, _) in zip(figure.axes, panels.values(), strict=True):
        _add_controls(axes, controls.merge(means[["method", "origin"]].drop_duplicates()), style)
        axes.set_ylim(end, canvas.TOP)
    total, *more = notes.counted(curves[curves["donor"] == DONOR])
    reached = [
        f"baseline of {_BASELINES[str(donor)][0]}: at most {notes.signed(round(value, 2))}"
        f"{'' if value >= end else ', below the axis'}"
        for donor, value in highest.items()
    ]
    counted = [total, *words, *more, *notes.outside(shown, style), *reached]
    setting = notes.setting(first["window"], first["span"])
    notes.heading(figure, first["model"], setting, counted, style)
    return figure


def _draw_panels(
    panels: canvas.Panels, baselines: list[dict[str, Any]], up: str, style: Style
) -> Figure:
    """Panels of curves by experiment, with the reference model's in those of copies."""
    means = pd.concat([rows for rows, _ in panels.values()])
    references = means[means["origin"] == REFERENCE]
    styles = canvas.experiment_styles(style, means["experiment"])
    entries = [*styles.values(), *([REFERENCE_LINE] if len(references) else []), *baselines]
    per_row = 4 if len(panels) > 1 else 2
    legend_height = (0.05 + 0.15 * -(-len(entries) // per_row)) * style.font_scale
    size = (style.width, style.panel_height + 0.25)
    labels = (layer_label(means["window"].iloc[0]), up)
    figure, grid = canvas.new_panels(panels, labels, size, legend_height)
    for axes, (rows, singles) in zip(grid, panels.values(), strict=True):
        canvas.add_curves(axes, rows, singles, "experiment", styles)
        if not (rows["origin"] == REFERENCE).all():
            _add_references(axes, references, styles)
        has_value = rows.groupby("experiment")["mean"].count() > 0
        if not has_value.all():
            names = [styles[name]["label"] for name in styles if not has_value.get(name, True)]
            canvas.note(axes, f"no value (unlearned model's loss 0): {', '.join(names)}")
        canvas.zero_line(axes)
        canvas.layer_ticks(axes)
    canvas.legend(figure, entries, per_row)
    return figure


def _add_references(axes: Axes, references: pd.DataFrame, styles: canvas.LineStyles) -> None:
    for experiment, curve in references.groupby("experiment"):
        marks = {
            "marker": styles[str(experiment)]["marker"],
            "markeredgecolor": styles[str(experiment)]["color"],
            "markevery": max(1, len(curve) // _HOLLOW_MARKS),
        }
        canvas.add_line(axes, curve, "mean", **REFERENCE_LINE | marks)


def _add_controls(axes: Axes, controls: pd.DataFrame, style: Style) -> None:
    """A thin grey line per donor (dashes) and experiment (markers) through the layers it has."""
    styles = canvas.experiment_styles(style, controls["experiment"])
    known = controls.dropna(subset="mean")
    for key, line in known.groupby(["donor", "experiment"]):
        donor, experiment = map(str, key)
        marks = {
            "marker": styles[experiment]["marker"],
            "markersize": 2.2,
            "markerfacecolor": styles[experiment]["color"],
            "markeredgewidth": 0,
        }
        canvas.add_line(axes, line, "mean", zorder=1.7, **_baseline(donor) | marks)


def _baseline(donor: str) -> dict[str, Any]:
    name, dashes = _BASELINES[donor]
    look = {"linestyle": dashes, "color": canvas.GREY, "linewidth": 0.7}
    return {"label": f"baseline: {name}", **look}
