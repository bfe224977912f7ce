"""How like the original's the answers are: on the concept, on other things, and under patches."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from dissect.errors import DissectError
from dissect.figures import canvas
from dissect.figures.names import drawn_name
from dissect.figures.style import Style, in_order, label_of, looks_of
from dissect.results.bootstrap import MIN_CONCEPTS, interval_of_mean

# Set -> its words under an axis, and in a title; how one is called, and what follows.
SETS = {
    "target": ("questions on\nthe concept", "questions on the concept", "question", " on it"),
    "completion": ("texts on it\nto complete", "texts to complete", "text", " to complete"),
    "unrelated": ("unrelated\nquestions", "unrelated questions", "unrelated question", ""),
}
SCORES = {"rouge_l": "ROUGE-L (F)", "bleu": "BLEU"}
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<")
_WIDTH = 0.7  # of a category, shared by what stands side by side in it
_LIKE = "1 = the same, word for word"


def draw_behaviour(behaviour: pd.DataFrame, seed: int, style: Style) -> Figure:
    """A panel per score; per set of questions, each method's mean and each concept.

    Args:
        behaviour: rows of tables/behaviour.csv of one model without a patch. Origins are not
            pooled: each has a row of panels.
        seed: of the bootstrap.
    """
    origins = sorted(behaviour["origin"].unique())
    sets = [name for name in SETS if name in set(behaviour["set"])]
    methods = sorted(behaviour["method"].unique())
    size = (style.width, (len(origins) * (style.panel_height + 0.15) + 0.2) * style.font_scale)
    with canvas.applied(style):
        figure, grid = canvas.new_figure(size, len(origins), len(SCORES), sharex=True, sharey=True)
        line_styles = _looks(methods, style)
        for line, origin in zip(grid, origins, strict=True):
            rows = behaviour[behaviour["origin"] == origin]
            for panel, (score, words) in zip(line, SCORES.items(), strict=True):
                _points(panel, rows, ("set", sets), ("method", methods), score, line_styles, seed)
                panel.set_xticks(range(len(sets)), [SETS[name][0] for name in sets])
                panel.set_ylabel(words)
                panel.yaxis.set_tick_params(labelleft=True)
                if len(origins) > 1:
                    panel.set_title(drawn_name(origin), loc="left")
                _frame(panel, len(sets))
        _finish(figure, behaviour, ["without a patch"], style)
        _legend(figure, methods, methods, line_styles)
    return figure


def draw_behaviour_patched(behaviour: pd.DataFrame, seed: int, style: Style) -> Figure:
    """A panel per method; per window, each experiment's mean and each concept, by ROUGE-L.

    The dashed line is the unlearned model without a patch, on the same questions; the dotted one,
    at 1, the original.

    Args:
        behaviour: rows of tables/behaviour.csv of one model, with and without a patch.
        seed: of the bootstrap.

    Raises:
        DissectError: if there is none with a patch.
    """
    is_patched = behaviour["experiment"] != ""
    patched, unpatched = behaviour[is_patched], behaviour[~is_patched]
    if patched.empty:
        raise DissectError(
            f"behaviour.csv has no answers under a patch of {behaviour['model'].iloc[0]}: "
            "name windows in the config (behaviour.patched.windows)"
        )
    windows = patched[["first_layer", "last_layer"]].drop_duplicates().astype(int)
    names = [f"{a}\N{EN DASH}{b}" for a, b in sorted(windows.itertuples(index=False))]
    patched = patched.assign(window=_window_names(patched))
    experiments = in_order(patched["experiment"])
    sets = [name for name in SETS if name in set(patched["set"])]
    panels = {
        (title, name): frame[frame["set"] == name]
        for name in sets
        for title, frame in canvas.by_method(patched).items()
    }
    columns = canvas.columns_of(len(panels) // len(sets))
    rows = -(-len(panels) // columns)
    size = (style.width, (rows * (style.panel_height + 0.25) + 0.2) * style.font_scale)
    with canvas.applied(style):
        figure, grid = canvas.new_figure(size, rows, columns, sharey=True)
        line_styles = _experiment_looks(experiments, style)
        for spare in grid.flat[len(panels) :]:
            spare.remove()
        for number, ((title, name), frame) in enumerate(panels.items()):
            panel = grid.flat[number]
            groups = ("window", names), ("experiment", experiments)
            _points(panel, frame, *groups, "rouge_l", line_styles, seed)
            _unpatched_line(panel, unpatched, frame)
            several = f", {SETS[name][1]}" if len(sets) > 1 else ""
            panel.set_title(drawn_name(title) + several, loc="left")
            panel.set_xticks(range(len(names)), names)
            panel.set_xlabel("layers put back (from 0)")
            panel.set_ylabel("" if number % columns else SCORES["rouge_l"])
            _frame(panel, len(names))
        what = [SETS[sets[0]][1]] if len(sets) == 1 else []
        _finish(figure, patched, [*what, "dashed: the unlearned model without a patch"], style)
        labels = [label_of(name) for name in experiments]
        _legend(figure, experiments, labels, line_styles)
    return figure


def _window_names(frame: pd.DataFrame) -> list[str]:
    layers = frame[["first_layer", "last_layer"]].astype(int)
    return [f"{first}\N{EN DASH}{last}" for first, last in layers.itertuples(index=False)]


def _points(
    axes: Axes,
    frame: pd.DataFrame,
    categories: tuple[str, Sequence[str]],
    sides: tuple[str, Sequence[str]],
    score: str,
    line_styles: dict[str, dict[str, Any]],
    seed: int,
) -> None:
    """Means with their intervals, and small each concept, side by side in each category.

    Args:
        categories, sides: a column, and its values in the order in which they are drawn.
    """
    step = _WIDTH / len(sides[1])
    for x, category in enumerate(categories[1]):
        for number, side in enumerate(sides[1]):
            rows = frame[(frame[categories[0]] == category) & (frame[sides[0]] == side)]
            values = rows[score].dropna().to_numpy(float)
            if not len(values):
                continue
            centre, line_style = x + (number + 0.5) * step - _WIDTH / 2, line_styles[side]
            plain: dict[str, Any] = {
                "linestyle": "none",
                "color": line_style["color"],
                "marker": line_style["marker"],
            }
            beside = np.full(len(values), centre + step / 3.5)
            axes.plot(beside, values, **plain, markersize=2.4, alpha=0.55, markeredgewidth=0)
            low, high = (one[0] for one in interval_of_mean(values[None, :, None], seed))
            if np.isfinite(low):
                axes.plot([centre, centre], [low, high], color=line_style["color"], linewidth=1.2)
            edge: dict[str, Any] = {"markeredgecolor": "black", "markeredgewidth": 0.5}
            axes.plot([centre], [values.mean()], **plain, **edge, markersize=5, zorder=3)


def _unpatched_line(axes: Axes, unpatched: pd.DataFrame, frame: pd.DataFrame) -> None:
    """The same model, concepts and questions without a patch."""
    key = ["origin", "method", "set", "concept"]
    same = unpatched.merge(frame[key].drop_duplicates(), on=key)
    axes.axhline(same["rouge_l"].mean(), color=canvas.GREY, linewidth=0.9, linestyle=(0, (4, 2)))


def _frame(axes: Axes, categories: int) -> None:
    axes.axhline(1, color="0.6", linewidth=0.7, linestyle=(0, (1, 2)), zorder=0.5)
    for border in range(1, categories):
        axes.axvline(border - 0.5, color="0.9", linewidth=0.5, zorder=0)
    axes.set_xlim(-0.5, categories - 0.5)
    axes.set_ylim(0, canvas.TOP)
    axes.tick_params(axis="x", length=0)


def _looks(names: Sequence[str], style: Style) -> dict[str, dict[str, Any]]:
    palette = sns.color_palette(style.palette, len(names))
    return {
        name: {"color": palette[number], "marker": _MARKERS[number % len(_MARKERS)]}
        for number, name in enumerate(names)
    }


def _experiment_looks(names: Sequence[str], style: Style) -> dict[str, dict[str, Any]]:
    """As in all other figures."""
    palette, (_, markers, _) = canvas.colours(names, style), looks_of(names)
    return {name: {"color": palette[name], "marker": markers[name]} for name in names}


def _finish(figure: Figure, frame: pd.DataFrame, phrases: Sequence[str], style: Style) -> None:
    each = frame.groupby(["origin", "method"])["concept"].nunique()
    enough = each.max() >= MIN_CONCEPTS
    questions = ", ".join(
        canvas.spread(frame.loc[frame["set"] == name, "questions"], words[2]) + words[3]
        for name, words in SETS.items()
        if name in set(frame["set"])
    )
    phrases_shown = [
        "how like the original's an answer is",
        _LIKE,
        *phrases,
        "large: mean over questions, then concepts; small: single concepts",
        "bars: 95 % bootstrap intervals over concepts" if enough else "",
        f"n = {canvas.spread(each, 'concept')} per method",
        f"each with {questions}",
    ]
    canvas.title(figure, frame["model"].iloc[0], phrases_shown, style)


def _legend(
    figure: Figure,
    names: Sequence[str],
    labels: Sequence[str],
    line_styles: dict[str, dict[str, Any]],
) -> None:
    handles = [
        Line2D(
            [],
            [],
            linestyle="none",
            markersize=5,
            markeredgecolor="black",
            markeredgewidth=0.5,
            label=drawn_name(label),
            **line_styles[name],
        )
        for name, label in zip(names, labels, strict=True)
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=min(len(names), 4))
