"""How like the original's the answers are: on the concept, on other things, and under patches."""

import textwrap
from collections.abc import Sequence
from itertools import cycle

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stillknows.analysis.bootstrap import MIN_CONCEPTS
from stillknows.errors import StudyError
from stillknows.figures import canvas, notes
from stillknows.figures.names import drawn_name
from stillknows.figures.style import Style

_SETS = {
    "target": "questions on the concept",
    "completion": "texts to complete",
    "unrelated": "unrelated questions",
}
_SCORES = {"rouge_l": "ROUGE-L (F)", "bleu": "BLEU"}
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<")


@canvas.styled
def draw_behaviour(behaviour: pd.DataFrame, *, style: Style, seed: int) -> Figure:
    """A panel per score and origin; per set of questions, each method's mean and each concept."""
    behaviour = behaviour[behaviour["experiment"] == ""]
    origins = dict(list(behaviour.groupby("origin", sort=True)))
    methods = sorted(behaviour["method"].unique())
    colours = sns.color_palette(style.palette, len(methods))
    marks = {
        method: {"label": drawn_name(method), "color": colour, "marker": marker}
        for method, colour, marker in zip(methods, colours, cycle(_MARKERS), strict=False)
    }
    size = (style.width, (len(origins) * (style.panel_height + 0.15) + 0.2) * style.font_scale)
    figure, grid = canvas.new_grid(size, len(origins), len(_SCORES), sharex=True)
    sets = _sets(behaviour)
    for panels, (origin, rows) in zip(grid, origins.items(), strict=True):
        for axes, (score, label) in zip(panels, _SCORES.items(), strict=True):
            _add_points(axes, rows, ("set", "method", score), sets, marks, seed)
            axes.set_xticks(range(len(sets)), [textwrap.fill(_SETS[name], 12) for name in sets])
            axes.set_ylabel(label, visible=True)  # seaborn hides that of a shared axis
            axes.yaxis.set_tick_params(labelleft=True)
            axes.set_title(drawn_name(str(origin)) if len(origins) > 1 else "", loc="left")
    _finish(figure, behaviour, ["without a patch"], [], marks, style)
    return figure


@canvas.styled
def draw_behaviour_patched(behaviour: pd.DataFrame, *, style: Style, seed: int) -> Figure:
    """A panel per method; per window, each experiment's mean and each concept, by ROUGE-L."""
    is_patched = behaviour["experiment"] != ""
    patched, unpatched = behaviour[is_patched], behaviour[~is_patched]
    if patched.empty:
        raise StudyError(
            f"behaviour.csv has no answers under a patch of {behaviour['model'].iloc[0]}: "
            "name windows in the config (behaviour.patched.windows)"
        )
    patched = patched.sort_values(["first_layer", "last_layer"])
    first, last = (patched[name].astype(int).astype(str) for name in ("first_layer", "last_layer"))
    patched["window"] = first + "\N{EN DASH}" + last
    windows = list(patched["window"].unique())
    marks = canvas.experiment_styles(style, patched["experiment"])
    sets = _sets(patched)
    panels = {
        title if len(sets) == 1 else f"{title}, {_SETS[name]}": rows
        for name in sets
        for title, rows in canvas.by_method(patched[patched["set"] == name]).items()
    }
    size = (style.width, (style.panel_height + 0.25) * style.font_scale)
    labels = ("layers patched (from 0)", _SCORES["rouge_l"])
    figure, grid = canvas.new_panels(panels, labels, size, 0.2 * style.font_scale, narrow=1)
    for axes, rows in zip(grid, panels.values(), strict=True):
        _add_points(axes, rows, ("window", "experiment", "rouge_l"), windows, marks, seed)
        # The same model, concepts and questions without a patch.
        same = unpatched.merge(rows[["origin", "method", "set", "concept"]].drop_duplicates())
        unpatched_mean = same["rouge_l"].mean()
        axes.axhline(unpatched_mean, color=canvas.GREY, linewidth=0.9, linestyle=(0, (4, 2)))
    shown = [_SETS[sets[0]]] if len(sets) == 1 else []
    _finish(figure, patched, shown, ["dashed: the unlearned model without a patch"], marks, style)
    return figure


def _sets(behaviour: pd.DataFrame) -> list[str]:
    return [name for name in _SETS if (behaviour["set"] == name).any()]


def _add_points(
    axes: Axes,
    rows: pd.DataFrame,
    columns: tuple[str, str, str],
    categories: Sequence[str],
    marks: canvas.LineStyles,
    seed: int,
) -> None:
    """Points of one panel; `columns`: the category, what stands side by side, and the score."""
    names = dict(zip(("x", "hue", "y"), columns, strict=True))
    canvas.add_points(axes, rows, names | {"order": categories}, marks, seed)
    for points in axes.collections:  # single concepts: beside their mean, which would hide them
        points.set_offsets(points.get_offsets() + np.array([0.25 / len(marks), 0]))
    axes.axhline(1, color="0.6", linewidth=0.7, linestyle=(0, (1, 2)), zorder=0.5)
    for border in range(1, len(categories)):
        axes.axvline(border - 0.5, color="0.9", linewidth=0.5, zorder=0)
    axes.set_xlim(-0.5, len(categories) - 0.5)
    axes.set_ylim(0, canvas.TOP)
    axes.tick_params(axis="x", length=0)


def _finish(
    figure: Figure,
    behaviour: pd.DataFrame,
    shown: Sequence[str],
    lines: Sequence[str],
    marks: canvas.LineStyles,
    style: Style,
) -> None:
    """The legend, and what is shown, of how many concepts and questions, and what marks are."""
    concepts = behaviour.groupby(["origin", "method"])["concept"].nunique()
    questions = behaviour.groupby("set")["questions"]
    counted = [
        f"n = {notes.spread(concepts, 'concept')} per method",
        notes.BARS if concepts.max() >= MIN_CONCEPTS else "",
        *lines,
        "small: single concepts",
        *(f"{_SETS[name]}: {notes.spread(questions.get_group(name))}" for name in _sets(behaviour)),
    ]
    scale = ["similarity of the answers to the original's", "1 = the same, word for word"]
    notes.heading(figure, behaviour["model"].iloc[0], [*scale, *shown], counted, style)
    entries = [{**mark, **canvas.LARGE_MARK} for mark in marks.values()]
    canvas.legend(figure, entries, 4, length=2)
