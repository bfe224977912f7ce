"""Several readings of the same runs in one panel: the two spans, or all the scores."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dissect.figures import canvas, grid
from dissect.figures.grid import Reading
from dissect.figures.style import SCORES, SPANS, Style, in_order, layer_label, window_label
from dissect.results.bootstrap import MIN_CONCEPTS
from dissect.results.curve_groups import ALL_METHODS

_SPANS = {
    "notebook": Reading("the notebook's span, as published", None, "o", ()),
    "answer": Reading("the answer's span", 4, "s", (4, 1.5)),
}
_SCORES = {
    "krs": Reading("KRS (logits)", None, "o", ()),
    "kl_recovered": Reading("KL divergence", 9, "^", (4, 1.5)),
    "top1_recovered": Reading("top-1 agreement", 4, "s", (1, 1)),
    "logprob_recovered": Reading("log-probability of the answer", 5, "D", (3, 1, 1, 1)),
}
_MARKS = 5  # a marker at about so many points of a line: in a small panel, more would hide it


def draw_spans(curves: pd.DataFrame, concepts: pd.DataFrame, style: Style) -> Figure:
    """The notebook's span and the answer's: a panel per method (rows) and experiment (columns).

    Args:
        curves: rows of tables/curves.csv of one model, window, donor and score, of all spans.
        concepts: what `concept_scores` returns, of the same selection; drawn as thin lines where a
            method has too few concepts for an interval.
    """
    first = curves.iloc[0]
    readings = {name: _SPANS[name] for name in _SPANS if name in set(curves["span"])}
    phrases = [window_label(first["window"]), _across(first["window"])]
    score = SCORES.get(first["score"], [first["score"]])
    return _draw(curves, concepts, "span", readings, score[-1], phrases, style)


def draw_scores(curves: pd.DataFrame, concepts: pd.DataFrame, style: Style) -> Figure:
    """KRS and the other scores: a panel per method (rows) and experiment (columns).

    A score that has no value under this span is left out, and the figure says so.

    Args:
        curves: rows of tables/scores.csv of one model, window, span and donor.
        concepts: what `concept_scores` returns of the same selection and of every score.
    """
    first = curves.iloc[0]
    present = set(curves.loc[curves["mean"].notna(), "score"])
    readings = {name: reading for name, reading in _SCORES.items() if name in present}
    absent = [reading.label for name, reading in _SCORES.items() if name not in present]
    span = SPANS.get(first["span"], first["span"])
    phrases = [window_label(first["window"]), _across(first["window"]), f"over {span}"]
    if absent:
        phrases.append(f"no value over this span: {', '.join(absent)}")
    return _draw(curves, concepts, "score", readings, "recovered", phrases, style)


def _draw(
    curves: pd.DataFrame,
    concepts: pd.DataFrame,
    by: str,
    readings: Mapping[str, Reading],
    scale: str,
    phrases: list[str],
    style: Style,
) -> Figure:
    """A panel per method and experiment, a line per reading; `by` is the column that names it."""
    each = curves[curves["method"] != ALL_METHODS]
    methods, experiments = canvas.by_method(each), in_order(each["experiment"])
    few = [name for name, frame in methods.items() if frame["concepts"].max() < MIN_CONCEPTS]
    single = canvas.by_method(canvas.plain(concepts))
    drawn = [
        frame[frame[by].isin(list(readings))] for frame in (each, *(single[name] for name in few))
    ]
    shown = pd.concat([drawn[0]["mean"], drawn[0]["low"], *(part["value"] for part in drawn[1:])])
    with canvas.applied(style, curves):
        figure, panels = grid.new_panels(len(methods), len(experiments), style)
        for row, (method, frame) in zip(panels, methods.items(), strict=True):
            for panel, experiment in zip(row, experiments, strict=True):
                thin = single[method] if method in few else None
                _panel(panel, frame, thin, experiment, by, readings, style)
        grid.label(panels, methods, experiments, ("layer", scale), shown, style)
        words = [
            *phrases,
            "1 = the original's, 0 = the unlearned model's",
            "mean over questions, then concepts",
            *grid.uncertainty(len(few), len(methods)),
            *canvas.counted(drawn[0] if len(drawn[0]) else each),
            canvas.cut_note(shown, style),
            canvas.ceiling_note(shown, style),
        ]
        canvas.title(figure, each["model"].iloc[0], words, style)
        grid.legend(figure, readings.values(), style)
    return figure


def _across(window: str) -> str:
    """What the axis counts, as a phrase: panels this small have room for one word."""
    return layer_label(window).replace(" (", ": ").rstrip(")")


def _panel(
    axes: Axes,
    curves: pd.DataFrame,
    concepts: pd.DataFrame | None,
    experiment: str,
    by: str,
    readings: Mapping[str, Reading],
    style: Style,
) -> None:
    """One line per reading; its band or, where `concepts` are given, a thin line for each."""
    canvas.zero_line(axes)
    canvas.layer_ticks(axes, 4)
    for number, (name, reading) in enumerate(readings.items()):
        curve = _of(curves, experiment, by, name).sort_values("layer")
        for _, run in canvas.runs(curve, ["experiment"], "mean").groupby("run"):
            every = max(1, len(curve) // _MARKS)
            first = number * every // len(readings) % len(run)
            line_style = reading.line(style) | {
                "markevery": (first, every),
                "zorder": 3 - 0.1 * number,
            }
            axes.plot(run["layer"], run["mean"], **line_style)
        colour = reading.line(style)["color"]
        if concepts is None:
            band: dict[str, Any] = {"color": colour, "alpha": 0.18, "linewidth": 0}
            axes.fill_between(curve["layer"], curve["low"], curve["high"], **band)
            continue
        single = canvas.runs(_of(concepts, experiment, by, name), ["concept"], "value")
        for _, run in single.groupby("run"):
            axes.plot(run["layer"], run["value"], color=colour, lw=0.4, alpha=0.55, zorder=1.5)
    if _of(curves, experiment, by, *readings)["mean"].isna().all():
        axes.text(0.05, 0.9, "no value", transform=axes.transAxes, va="top", color=canvas.GREY)


def _of(frame: pd.DataFrame, experiment: str, by: str, *names: str) -> pd.DataFrame:
    return frame[(frame["experiment"] == experiment) & frame[by].isin(names)]
