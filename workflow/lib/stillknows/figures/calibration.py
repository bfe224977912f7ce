"""Scores of models whose state is known, and how well each score tells the states apart."""

import textwrap
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stillknows.analysis.calibration.rates import MIN_ROUNDS
from stillknows.analysis.calibration.scores import BASELINES
from stillknows.analysis.calibration.table import ALL_MODELS, GROUP_NAMES, GROUPS, compared_models
from stillknows.figures import canvas, notes
from stillknows.figures.names import drawn_name
from stillknows.figures.style import Look, Style
from stillknows.terms import NEVER, TAUGHT

_LOOKS = {TAUGHT: Look("taught the facts", 0, "o"), NEVER: Look("never taught them", 1, "D")}
_SIDE = {TAUGHT: -0.2, NEVER: 0.2}  # of a treatment's row, which is 1 high
_SPREAD = 0.12  # how far rounds stand from the middle of a state
_ROW, _PANEL = 0.22, 0.8  # inches: of a treatment, and what a score needs beside them
_SPEAKS_FOR_TAUGHT = {1: 'higher: "taught"', -1: 'lower: "taught"'}
_LINE = 60  # characters under the panel of values
_POINT: dict[str, Any] = {"linestyle": "none", "markersize": 3, "alpha": 0.8}
_HOLLOW: dict[str, Any] = {"markerfacecolor": "none", "markeredgewidth": 0.7}
# What else the legend explains.
_NOT_CONFIRMED = {"label": "hollow: state not confirmed", "marker": "o", "color": "black"}
_THRESHOLD = {"label": "threshold from all rounds", "marker": "|", "color": "black"}


@canvas.styled
def draw_calibration(rounds: pd.DataFrame, table: pd.DataFrame, *, style: Style) -> Figure:
    """Two panels per primary score and the first baseline: all models' values, and the AUC.

    Treatments stand one below the other, those that leave knowledge intact first, and last the
    groups of treatments that the table has, each beside all never-taught models. A point is a
    model, hollow if its state was not confirmed. The dashes are thresholds, from all rounds.
    """
    is_shown = table["primary"].astype(bool) | (table["score"] == BASELINES[0])
    table = table[(table["included"] == ALL_MODELS) & is_shown]
    scores, treatments = table["score"].unique(), list(table["treatment"].unique())
    size = (style.width, len(scores) * (len(treatments) * _ROW + _PANEL) * style.font_scale)
    styles = canvas.line_styles(_LOOKS, style, len(_LOOKS))
    figure, grid = canvas.new_grid(size, len(scores), 2, width_ratios=[3, 2])
    for (values, areas), name in zip(grid, scores, strict=True):
        rates = table[table["score"] == name].set_index("treatment").loc[treatments]
        _draw_values(values, rounds, rates, styles)
        _draw_areas(areas, rates)
        values.set_title(name, loc="left")
        for axes in (values, areas):  # faint lines between treatments, a darker one above groups
            for row, treatment in enumerate(treatments):
                is_first_group = treatment in GROUPS and treatments[row - 1] not in GROUPS
                axes.axhline(
                    row - 0.5, color="0.5" if is_first_group else "0.9", linewidth=0.5, zorder=0
                )
    names = [GROUP_NAMES.get(name) or drawn_name(name, 20) for name in treatments]
    grid[0, 0].set_yticks(range(len(names)), names)  # shared by all panels
    grid[0, 0].set_ylim(len(names) - 0.5, -0.5)

    count = rounds["round"].nunique()
    shown = ["models that were taught the facts and models that never were, by treatment"]
    intervals = (
        "bars: 95 % intervals over rounds, none at AUC 0 or 1"
        if count >= MIN_ROUNDS
        else f"no intervals with fewer than {MIN_ROUNDS} rounds"
    )
    counted = [
        f"n = {notes.spread([count], 'round')}",
        "left: a point is a model",
        "right: AUC",
        intervals,
    ]
    models = ", ".join(sorted(rounds["model"].unique()))
    notes.heading(figure, models, shown, counted, style)
    entries: list[dict[str, Any]] = list(styles.values())
    if not rounds["as_intended"].all():
        entries.append(_NOT_CONFIRMED | _HOLLOW)
    if table["threshold"].notna().any():
        entries.append(_THRESHOLD | {"markersize": 7})
    canvas.legend(figure, [entry | {"linestyle": "none"} for entry in entries], 4, length=1)
    return figure


def _draw_values(
    axes: Axes, rounds: pd.DataFrame, rates: pd.DataFrame, styles: canvas.LineStyles
) -> None:
    """Each model's value of one score, by treatment and state; `rates`: a row per treatment."""
    first = rates.iloc[0]
    ranks = rounds["round"].rank(method="dense")
    beside = 2 * _SPREAD * ((ranks - 0.5) / ranks.max() - 0.5)
    column = rounds.get(first["score"], pd.Series(np.nan, rounds.index))
    for row, (treatment, threshold) in enumerate(rates["threshold"].astype(float).items()):
        compared = compared_models(rounds, str(treatment))
        for state, look in styles.items():
            hollow = {**look, **_HOLLOW, "markeredgecolor": look["color"]}
            for as_intended, marks in {True: look, False: hollow}.items():
                is_here = compared & (rounds["state"] == state)
                is_here &= rounds["as_intended"] == as_intended
                heights = row + _SIDE[state] + beside[is_here]
                axes.plot(column[is_here], heights, **{**marks, **_POINT})
        axes.plot([threshold] * 2, [row - 0.42, row + 0.42], color="black", linewidth=1.2)
    if column.isna().all():
        canvas.note(axes, "no model has a value")
        axes.set_xticks([])
    text = f"{first['definition']} ({_SPEAKS_FOR_TAUGHT[first['sign']]})"
    lines = -(-len(text) // _LINE)  # none much shorter than the others
    axes.set_xlabel("\n".join(textwrap.wrap(text, len(text) // lines + 6)))


def _draw_areas(axes: Axes, rates: pd.DataFrame) -> None:
    axes.axvline(0.5, color=canvas.GREY, linewidth=0.8, linestyle=(0, (4, 2)), zorder=0.5)
    areas = rates[["auc", "auc_low", "auc_high"]].astype(float)
    for row, (treatment, area) in enumerate(areas.iterrows()):
        axes.plot(area[["auc_low", "auc_high"]], [row, row], color="black", linewidth=1.1)
        marker = "s" if treatment in GROUPS else "o"
        axes.plot(area["auc"], row, zorder=3, color="black", marker=marker, **canvas.LARGE_MARK)
    if areas["auc"].isna().all():
        canvas.note(axes, "no AUC")
    axes.tick_params(axis="y", length=0)
    axes.set_xlim(-0.04, 1.04)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "0.25", "0.5", "0.75", "1"])
    axes.set_xlabel("AUC (0.5 = no information)")
