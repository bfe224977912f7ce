"""How like the original's the answers are: on the concept, on other things, and under patches."""

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stillknows.analysis.bootstrap import MIN_CONCEPTS, interval_of_mean
from stillknows.errors import StudyError
from stillknows.figures import canvas, notes
from stillknows.figures.names import drawn_name
from stillknows.figures.style import Style


class QuestionSet(NamedTuple):
    """What a set is called: under an axis, in a title, and when its questions are counted."""

    tick: str
    title: str
    noun: str
    on_what: str = ""


SETS = {
    "target": QuestionSet(
        "questions on\nthe concept", "questions on the concept", "question", " on it"
    ),
    "completion": QuestionSet("texts to\ncomplete", "texts to complete", "text", " to complete"),
    "unrelated": QuestionSet("unrelated\nquestions", "unrelated questions", "unrelated question"),
}
SCORES = {"rouge_l": "ROUGE-L (F)", "bleu": "BLEU"}
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<")
_SMALL = {"markersize": 2.4, "alpha": 0.55, "markeredgewidth": 0}  # a single concept
_WIDTH = 0.7  # of a category, shared by what stands side by side in it


def draw_behaviour(behaviour: pd.DataFrame, seed: int, style: Style) -> Figure:
    """A panel per score; per set of questions, each method's mean and each concept.

    Args:
        behaviour: rows of tables/behaviour.csv of one model; those under a patch are left out.
            Origins are not pooled: each has a row of panels.
        seed: of the bootstrap.
    """
    behaviour = behaviour[behaviour["experiment"] == ""]
    origins = dict(list(behaviour.groupby("origin", sort=True)))
    ticks = {name: SETS[name].tick for name in _sets(behaviour)}
    methods = sorted(behaviour["method"].unique())
    colours = sns.color_palette(style.palette, len(methods))
    marks = {
        method: {"label": drawn_name(method), "color": colour, "marker": marker} | canvas.LARGE_MARK
        for method, colour, marker in zip(methods, colours, cycle(_MARKERS), strict=False)
    }
    size = (style.width, (len(origins) * (style.panel_height + 0.15) + 0.2) * style.font_scale)
    with canvas.applied(style):
        figure, grid = canvas.new_grid(size, len(origins), len(SCORES), sharex=True)
        for panels, (origin, rows) in zip(grid, origins.items(), strict=True):
            for panel, (score, label) in zip(panels, SCORES.items(), strict=True):
                values = rows.assign(x=rows["set"], side=rows["method"], score=rows[score])
                _draw_points(panel, values, ticks, marks, seed)
                panel.set_ylabel(label)
                panel.yaxis.set_tick_params(labelleft=True)
                panel.set_title(drawn_name(str(origin)) if len(origins) > 1 else "", loc="left")
        _title(figure, behaviour, "without a patch", [], style)
        canvas.legend(figure, list(marks.values()), 4, length=2)
    return figure


def draw_behaviour_patched(behaviour: pd.DataFrame, seed: int, style: Style) -> Figure:
    """A panel per method; per window, each experiment's mean and each concept, by ROUGE-L.

    The dashed line is the unlearned model without a patch, on the same questions; the dotted one,
    at 1, the original.

    Args:
        behaviour: rows of tables/behaviour.csv of one model, with and without a patch.
        seed: of the bootstrap.

    Raises:
        StudyError: if there is none with a patch.
    """
    is_patched = behaviour["experiment"] != ""
    patched, unpatched = behaviour[is_patched], behaviour[~is_patched]
    if patched.empty:
        raise StudyError(
            f"behaviour.csv has no answers under a patch of {behaviour['model'].iloc[0]}: "
            "name windows in the config (behaviour.patched.windows)"
        )
    patched = patched.sort_values(["first_layer", "last_layer"])
    first, last = (patched[name].astype(int).astype(str) for name in ("first_layer", "last_layer"))
    windows = first + "\N{EN DASH}" + last
    patched = patched.assign(x=windows, side=patched["experiment"], score=patched["rouge_l"])
    ticks = dict(zip(windows, windows, strict=True))
    sets = _sets(patched)
    looks = canvas.experiment_styles(style, patched["experiment"])
    marks = {name: look | canvas.LARGE_MARK for name, look in looks.items()}
    panels = [
        (f"{drawn_name(method)}{f', {SETS[name].title}' if len(sets) > 1 else ''}", rows)
        for name in sets
        for method, rows in canvas.by_method(patched[patched["set"] == name]).items()
    ]
    height = (style.panel_height + 0.25) * style.font_scale
    with canvas.applied(style):
        figure, axes = canvas.new_panels(len(panels), (style.width, height), 0.2 * style.font_scale)
        for panel, (title, rows) in zip(axes, panels, strict=True):
            _draw_points(panel, rows, ticks, marks, seed)
            # The same model, concepts and questions without a patch.
            key = ["origin", "method", "set", "concept"]
            mean = unpatched.merge(rows[key].drop_duplicates())["rouge_l"].mean()
            panel.axhline(mean, color=canvas.GREY, linewidth=0.9, linestyle=(0, (4, 2)))
            panel.set_title(title, loc="left")
            panel.set_xlabel("layers patched (from 0)")
        for panel in axes[:: canvas.columns_of(len(axes))]:
            panel.set_ylabel(SCORES["rouge_l"])
        what = SETS[sets[0]].title if len(sets) == 1 else ""
        _title(figure, patched, what, ["dashed: the unlearned model without a patch"], style)
        canvas.legend(figure, list(marks.values()), 4, length=2)
    return figure


def _sets(behaviour: pd.DataFrame) -> list[str]:
    return [name for name in SETS if (behaviour["set"] == name).any()]


def _draw_points(
    axes: Axes,
    rows: pd.DataFrame,
    ticks: Mapping[str, str],
    marks: Mapping[str, Mapping[str, Any]],
    seed: int,
) -> None:
    """Means with their intervals, and small each concept, side by side in each category.

    Args:
        rows: `x` and `side` say where a row stands, `score` how high.
        ticks: the categories, values of `x`, and their labels.
        marks: value of `side` -> how it is marked.
    """
    step = _WIDTH / len(marks)
    for x, category in enumerate(ticks):
        for number, (side, mark) in enumerate(marks.items()):
            is_here = (rows["x"] == category) & (rows["side"] == side)
            values = rows.loc[is_here, "score"].dropna().to_numpy(float)
            if not len(values):
                continue
            centre = x + (number + 0.5) * step - _WIDTH / 2
            beside = np.full(len(values), centre + step / 3.5)
            axes.plot(beside, values, **{**mark, **_SMALL})
            low, high = (limit[0] for limit in interval_of_mean(values[None, :, None], seed))
            if np.isfinite(low):
                axes.plot([centre, centre], [low, high], color=mark["color"], linewidth=1.2)
            axes.plot([centre], [values.mean()], zorder=3, **mark)
    axes.axhline(1, color="0.6", linewidth=0.7, linestyle=(0, (1, 2)), zorder=0.5)
    for border in range(1, len(ticks)):
        axes.axvline(border - 0.5, color="0.9", linewidth=0.5, zorder=0)
    axes.set_xticks(range(len(ticks)), list(ticks.values()))
    axes.set_xlim(-0.5, len(ticks) - 0.5)
    axes.set_ylim(0, canvas.TOP)
    axes.tick_params(axis="x", length=0)


def _title(
    figure: Figure, behaviour: pd.DataFrame, what: str, lines: Sequence[str], style: Style
) -> None:
    """What is shown, of how many concepts and questions, and what marks and lines are."""
    concepts = behaviour.groupby(["origin", "method"])["concept"].nunique()
    questions = [
        notes.spread(behaviour.loc[behaviour["set"] == name, "questions"], SETS[name].noun)
        + SETS[name].on_what
        for name in _sets(behaviour)
    ]
    shown = ["similarity of the answers to the original's", "1 = the same, word for word"]
    bars = notes.BARS if concepts.max() >= MIN_CONCEPTS else ""
    n = f"n = {notes.spread(concepts, 'concept')} per method"
    of_each = f"each with {', '.join(questions)}"
    counted = [n, bars, *lines, notes.LARGE, notes.SMALL, of_each]
    notes.heading(figure, behaviour["model"].iloc[0], [*shown, what], counted, style)
