"""KRS against layer: the paper's figure, and the same per method with intervals."""

import math
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stillknows.analysis.curve_groups import ALL_METHODS, DONOR
from stillknows.figures import canvas, notes
from stillknows.figures.names import drawn_name
from stillknows.figures.style import SCORES, Style, layer_label
from stillknows.terms import PAPER_EXPERIMENTS, REFERENCE

BASELINE_WIDTH = 0.7  # of a control baseline's line

_BASELINES: dict[str, tuple[str, Any]] = {  # donor -> its name in the legend, its dashes
    "other_question": ("other question", (0, (6, 1.5))),
    "noise": ("noise", (0, (1, 2))),
    "aligned_question": ("aligned question", (0, (3, 1.5))),
    "mean_of_questions": ("mean of questions", (0, (6, 1.5, 1, 1.5))),
    "reference": ("reference model", "solid"),
}


def draw_curves(curves: pd.DataFrame, style: Style) -> Figure:
    """The paper's figure: a curve per experiment, mean over questions, concepts, then methods.

    Args:
        curves: rows of tables/curves.csv of one model, window, span and score. Origins are not
            pooled: each has a panel, with the reference model in it, where there is one. Rows of
            other donors are drawn as control baselines.
    """
    overall = curves[(curves["method"] == ALL_METHODS) & (curves["donor"] == DONOR)]
    overall = overall.assign(low=math.nan, high=math.nan)  # the paper's figure has no bands
    rows = {str(origin): part for origin, part in overall.groupby("origin", sort=True)}
    panels = canvas.MethodPanels(rows if len(rows) > 1 else {"": overall}, {}, overall["mean"])
    return _draw(curves, panels, f"{notes.AVERAGED}, then methods", [], style)


def draw_curves_by_method(curves: pd.DataFrame, concepts: pd.DataFrame, style: Style) -> Figure:
    """A panel per method: means over concepts, with a band, or with the single concepts.

    Args:
        curves: as for `draw_curves`.
        concepts: what `concept_scores` returns, of the same selection and score; drawn as thin
            lines where a method has too few concepts for an interval.
    """
    each = curves[(curves["method"] != ALL_METHODS) & (curves["donor"] == DONOR)]
    panels = canvas.MethodPanels.of(each, concepts)
    return _draw(curves, panels, notes.AVERAGED, notes.uncertainty(panels), style)


def _draw(
    curves: pd.DataFrame,
    panels: canvas.MethodPanels,
    averaged: str,
    uncertainty: list[str],
    style: Style,
) -> Figure:
    """Panels of curves on shared axes, each with its controls and the reference model."""
    drawn, shown = pd.concat(panels.rows.values()), panels.shown
    controls = curves[(curves["donor"] != DONOR) & curves["method"].isin(drawn["method"])]
    references = drawn[drawn["origin"] == REFERENCE]
    columns = canvas.columns_of(len(panels.rows))
    size = (style.width if columns > 1 else style.width / 2, style.panel_height + 0.15)
    per_row = 4 if columns > 1 else 2
    entries = max(len(PAPER_EXPERIMENTS), drawn["experiment"].nunique())
    legend_height = (0.05 + 0.15 * -(-entries // per_row)) * style.font_scale
    with canvas.applied(style, curves):
        figure, axes = canvas.new_panels(len(panels.rows), size, legend_height, sharex=True)
        for panel, (name, rows) in zip(axes, panels.rows.items(), strict=True):
            singles = panels.singles.get(name)
            canvas.add_curves(panel, rows, singles, style, "no value (unpatched loss 0)")
            canvas.add_reference(panel, rows, references, style)
            of_panel = rows[["method", "origin"]].drop_duplicates()
            _draw_controls(panel, controls.merge(of_panel), style)
            panel.set_title(drawn_name(name), loc="left")
        first = drawn.iloc[0]
        end = canvas.lowest_shown(shown, style)
        # The most that each control gives back anywhere, also below the end of the axis.
        highest = controls.groupby("donor")["mean"].max().reindex(list(_BASELINES)).dropna()
        _label(axes, layer_label(first["window"]), SCORES[first["score"]], end)
        setting = notes.setting(first["window"], first["span"])
        total, *more = notes.counted(curves[curves["donor"] == DONOR])
        baselines = [
            f"baseline of {_BASELINES[str(donor)][0]}: at most {notes.signed(round(value, 2))}"
            f"{'' if value >= end else ', below the axis'}"
            for donor, value in highest.items()
        ]
        counted = [total, *uncertainty, averaged, *more, notes.cut_note(shown, style), *baselines]
        notes.heading(figure, first["model"], setting, counted, style)
        handles = [*canvas.experiment_styles(style, drawn["experiment"]).values()]
        handles += [canvas.REFERENCE_LINE] if len(references) else []
        handles += [_baseline(str(donor)) for donor in highest[highest >= end].index]
        canvas.legend(figure, handles, per_row)
    return figure


def _baseline(donor: str) -> dict[str, Any]:
    """The line of a control baseline, as matplotlib takes it."""
    name, dashes = _BASELINES[donor]
    return {
        "label": f"baseline: {name}",
        "linestyle": dashes,
        "color": canvas.GREY,
        "linewidth": BASELINE_WIDTH,
    }


def _label(axes: list[Axes], across: str, up: str, end: float) -> None:
    """Labels at the left of each row and under each column."""
    columns = canvas.columns_of(len(axes))
    for number, panel in enumerate(axes):
        lowest = number + columns >= len(axes)
        canvas.zero_line(panel)
        canvas.layer_ticks(panel)
        panel.tick_params(labelbottom=lowest)
        panel.set_xlabel(across)
        panel.xaxis.label.set_visible(lowest)
        panel.set_ylabel("" if number % columns else up)
        panel.set_ylim(end, canvas.TOP)


def _draw_controls(axes: Axes, controls: pd.DataFrame, style: Style) -> None:
    """A thin grey line per donor and experiment through the layers where it is known.

    The dashes say which donor, the small markers which experiment.
    """
    line_styles = canvas.experiment_styles(style, controls["experiment"])
    with_value = controls[controls["mean"].notna()].sort_values("layer", kind="stable")
    for key, line in with_value.groupby(["donor", "experiment"], sort=False):
        donor, experiment = map(str, key)
        marks = {
            "marker": line_styles[experiment]["marker"],
            "markersize": 2.2,
            "markerfacecolor": line_styles[experiment]["color"],
            "markeredgewidth": 0,
        }
        axes.plot(line["layer"], line["mean"], zorder=1.7, **_baseline(donor) | marks)
