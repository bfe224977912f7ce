"""Scores of models whose state is known, and how well each score tells the states apart."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stillknows.analysis.calibration.rates import MIN_ROUNDS
from stillknows.analysis.calibration.scores import BASELINES
from stillknows.analysis.calibration.table import ALL_MODELS, GROUP_NAMES, GROUPS, compared_models
from stillknows.errors import StudyError, check_known
from stillknows.figures import canvas, notes
from stillknows.figures.names import drawn_name
from stillknows.figures.style import Look, Style
from stillknows.terms import NEVER, TAUGHT

MOST_SCORES = 4  # that are legible on a page
_LOOKS = {TAUGHT: Look("taught the facts", 0, "o"), NEVER: Look("never taught them", 1, "D")}
_SIDE = {TAUGHT: -0.2, NEVER: 0.2}  # of a treatment's row, which is 1 high
_SPREAD = 0.12  # how far rounds stand from the middle of a state
_ROW, _PANEL = 0.22, 0.8  # inches: of a treatment, and what a score needs beside them
_SPEAKS_FOR_TAUGHT = {1: 'higher: "taught"', -1: 'lower: "taught"'}
_LINE = 60  # characters under the panel of values
_POINT: dict[str, Any] = {"linestyle": "none", "markersize": 3, "alpha": 0.8}
# What else the legend explains.
_HOLLOW: dict[str, Any] = {"markerfacecolor": "none", "markeredgewidth": 0.7}
_NOT_CONFIRMED: dict[str, Any] = {
    "label": "hollow: state not confirmed",
    "marker": "o",
    "color": "black",
}
_THRESHOLD: dict[str, Any] = {
    "label": "threshold from all rounds",
    "marker": "|",
    "color": "black",
    "markersize": 7,
}


def draw_calibration(
    rounds: pd.DataFrame, table: pd.DataFrame, style: Style, scores: Sequence[str] = ()
) -> Figure:
    """Two panels per score: the values of all models, and the AUC with its interval.

    Treatments stand one below the other, those that leave knowledge intact first, and last the
    groups of treatments that the table has, each beside all never-taught models. A point is a
    model, hollow if its state was not confirmed. The dashes are thresholds, from all rounds.

    Args:
        rounds: what `analysis.calibration.table.read_rounds` returns.
        table: what `analysis.calibration.table.calibration_table` returns of these rounds.
        scores: those that are shown, in this order; if none is named, the primary ones and the
            first baseline.

    Raises:
        StudyError: if there is none, or more than MOST_SCORES, or one is not in the table.
    """
    shown = _chosen(table, scores)
    table = table[(table["included"] == ALL_MODELS) & table["score"].isin(shown)]
    rows = {name: row for row, name in enumerate(table["treatment"].unique())}
    size = (style.width, len(shown) * (len(rows) * _ROW + _PANEL) * style.font_scale)
    states = canvas.line_styles(_LOOKS, style, len(_LOOKS))
    with canvas.applied(style, rounds):
        figure, grid = canvas.new_grid(size, len(shown), 2, width_ratios=[3, 2])
        for (values, areas), name in zip(grid, shown, strict=True):
            numbers = table[table["score"] == name].set_index("treatment")
            _draw_values(values, rounds, name, numbers, rows, states)
            _draw_areas(areas, numbers, rows)
            for axes in (values, areas):
                _separate_rows(axes, rows)
        _label_rows(grid[0, 0], rows)
        models = ", ".join(sorted(rounds["model"].unique()))
        _title(figure, models, rounds, style)
        canvas.legend(figure, _legend(rounds, table, states), 4, length=1)
    return figure


def _chosen(table: pd.DataFrame, scores: Sequence[str]) -> list[str]:
    """The names of the scores that are drawn."""
    is_shown = table["primary"].astype(bool) | (table["score"] == BASELINES[0])
    shown = list(scores or table.loc[is_shown, "score"].unique())
    check_known("score", shown, table["score"].unique(), "in calibration.csv")
    if not 1 <= len(shown) <= MOST_SCORES:
        raise StudyError(
            f"{len(shown)} scores were chosen for the figure of error rates; "
            f"name 1 to {MOST_SCORES} of calibration.csv"
        )
    return shown


def _draw_values(
    axes: Axes,
    rounds: pd.DataFrame,
    name: str,
    numbers: pd.DataFrame,
    rows: Mapping[str, int],
    states: Mapping[str, dict[str, Any]],
) -> None:
    """Each model's value of one score, by treatment and state."""
    ranks = rounds["round"].rank(method="dense")
    beside = 2 * _SPREAD * ((ranks - 0.5) / ranks.max() - 0.5)
    column = rounds[name] if name in rounds else pd.Series(np.nan, rounds.index)
    for treatment, row in rows.items():
        is_here = compared_models(rounds, treatment)
        for state, look in states.items():
            hollow = _HOLLOW | {"markeredgecolor": look["color"]}
            for as_intended, marks in {True: look, False: look | hollow}.items():
                chosen = is_here & (rounds["state"] == state)
                chosen &= rounds["as_intended"] == as_intended
                heights = row + _SIDE[state] + beside[chosen]
                axes.plot(column[chosen], heights, **marks | _POINT)
        threshold = [float(numbers["threshold"][treatment])] * 2
        axes.plot(threshold, [row - 0.42, row + 0.42], color="black", linewidth=1.2)
    if column.isna().all():
        _say_empty(axes, "no model has a value")
        axes.set_xticks([])
    axes.set_title(name, loc="left")
    first = numbers.iloc[0]
    axes.set_xlabel(_in_even_lines(f"{first['definition']} ({_SPEAKS_FOR_TAUGHT[first['sign']]})"))


def _say_empty(axes: Axes, text: str) -> None:
    """Words in the middle of an empty panel."""
    background = {"facecolor": "white", "edgecolor": "none", "pad": 1}
    where: dict[str, Any] = {"transform": axes.transAxes, "ha": "center", "va": "center"}
    axes.text(0.5, 0.5, text, color=canvas.GREY, bbox=background, **where)


def _in_even_lines(text: str) -> str:
    """Text in lines of at most about _LINE characters, none much shorter than the others."""
    lines = -(-len(text) // _LINE)
    return "\n".join(textwrap.wrap(text, len(text) // lines + 6))


def _draw_areas(axes: Axes, numbers: pd.DataFrame, rows: Mapping[str, int]) -> None:
    """The AUC of one score by treatment, with its interval where there is one."""
    axes.axvline(0.5, color=canvas.GREY, linewidth=0.8, linestyle=(0, (4, 2)), zorder=0.5)
    for treatment, row in rows.items():
        value, low, high = (
            float(numbers[name][treatment]) for name in ("auc", "auc_low", "auc_high")
        )
        axes.plot([low, high], [row, row], color="black", linewidth=1.1)
        mark = canvas.LARGE_MARK | {"marker": "s" if treatment in GROUPS else "o", "color": "black"}
        axes.plot([value], [row], zorder=3, **mark)
    if numbers["auc"].isna().all():
        _say_empty(axes, "no AUC")
    axes.tick_params(axis="y", length=0)
    axes.set_xlim(-0.04, 1.04)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "0.25", "0.5", "0.75", "1"])
    axes.set_xlabel("AUC (0.5 = no information)")


def _separate_rows(axes: Axes, rows: Mapping[str, int]) -> None:
    """Faint lines between treatments, a darker one above the groups of them."""
    first_group = min((row for name, row in rows.items() if name in GROUPS), default=0)
    for row in rows.values():
        color = "0.5" if row == first_group else "0.9"
        axes.axhline(row - 0.5, color=color, linewidth=0.5, zorder=0)


def _label_rows(axes: Axes, rows: Mapping[str, int]) -> None:
    """The treatments, from top to bottom; all panels share this axis."""
    names = [GROUP_NAMES.get(name) or drawn_name(name, 20) for name in rows]
    axes.set_yticks(list(rows.values()), names)
    axes.set_ylim(len(rows) - 0.5, -0.5)


def _legend(
    rounds: pd.DataFrame, table: pd.DataFrame, states: Mapping[str, dict[str, Any]]
) -> list[dict[str, Any]]:
    """Entries of what is drawn."""
    hollow = [] if rounds["as_intended"].all() else [_NOT_CONFIRMED | _HOLLOW]
    threshold = [_THRESHOLD] if table["threshold"].notna().any() else []
    return [
        dict(entry) | {"linestyle": "none"} for entry in (*states.values(), *hollow, *threshold)
    ]


def _title(figure: Figure, models: str, rounds: pd.DataFrame, style: Style) -> None:
    """What is shown, of how many rounds."""
    count = pd.Series([rounds["round"].nunique()])
    shown = ["models that were taught the facts and models that never were, by treatment"]
    intervals = [
        "bars: 95 % intervals over rounds, none at AUC 0 or 1"
        if count[0] >= MIN_ROUNDS
        else f"no intervals with fewer than {MIN_ROUNDS} rounds"
    ]
    n, sides = f"n = {notes.spread(count, 'round')}", ["left: a point is a model", "right: AUC"]
    phrases = [*shown, *sides, *intervals, n]
    notes.title(figure, models, shown, [n, *sides, *intervals], phrases, style)
