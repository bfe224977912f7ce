"""How much comes back with wider windows, and how much of it without the last layer."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stillknows.analysis.curve_groups import ALL_METHODS, DONOR
from stillknows.engine.windows import PREFIX, window_width
from stillknows.figures import canvas, notes
from stillknows.figures.grid import LineStyles, method_grid
from stillknows.figures.style import SHORT_SCORES, SPANS, Look, Style

# Statistic -> how it is drawn; what of a suffix is another thing than of a window has two names.
READINGS = {
    "peak": Look("best of all windows", None, "o"),
    "best_without_final_layer": Look("best without the last layer", 9, "^", (4, 1.5)),
    "final_window": Look("window at the last layer (suffix: that layer alone)", 4, "s", (1, 1)),
}
_KEY = ["origin", "method", "experiment", "window"]
# Reading -> where it stands beside a width's tick.
_SHIFTS = dict(zip(READINGS, (-0.16, 0.0, 0.16), strict=True))


def single_concepts(concepts: pd.DataFrame) -> pd.DataFrame:
    """What the readings are in each concept, at the layer that the mean over concepts chooses.

    Args:
        concepts: what `concept_scores` returns, of one model, span, donor and score.

    Returns:
        _KEY, statistic, concept, value.
    """
    by_window = concepts.groupby("window", observed=True)["last_layer"]
    scored = concepts.assign(last=by_window.transform("max")).dropna(subset="value")
    without_last = scored[scored["last_layer"] < scored["last"]]
    chosen = {
        "peak": canvas.at_best_layer(scored, _KEY),
        "best_without_final_layer": canvas.at_best_layer(without_last, _KEY),
        "final_window": scored[scored["layer"] == scored["last"]],
    }
    read = pd.concat([rows.assign(statistic=name) for name, rows in chosen.items()])
    return read[[*_KEY, "statistic", "concept", "value"]]


def draw_widths(statistics: pd.DataFrame, concepts: pd.DataFrame, style: Style) -> Figure:
    """Recovery against the windows' width: a panel per method (rows) and experiment (columns).

    Args:
        statistics: rows of tables/statistics.csv of one model, span and score, of all
            windows; those of the original as donor and of READINGS are drawn.
        concepts: what `concept_scores` returns of the same selection; drawn as points where there
            are too few for an interval.
    """
    each = statistics[(statistics["method"] != ALL_METHODS) & (statistics["donor"] == DONOR)]
    read = each[each["statistic"].isin(list(READINGS))]
    means = read.rename(columns={"value": "mean", "n": "concepts"})
    # Sliding windows by their width, then suffixes and prefixes, whose widths are all there are.
    windows = sorted(
        set(means["window"]), key=lambda name: (window_width(name) or math.inf, name == PREFIX)
    )
    panels = canvas.MethodPanels.of(means, single_concepts(concepts))

    def draw_panel(
        axes: Axes, means: pd.DataFrame, singles: pd.DataFrame | None, styles: LineStyles
    ) -> None:
        for name, shift in _SHIFTS.items():
            rows = means[means["statistic"] == name].set_index("window").reindex(windows)
            _draw_means(axes, rows, np.arange(len(windows)) + shift, styles[name])
            if singles is not None:
                points = singles[singles["statistic"] == name]
                x = [windows.index(window) + shift for window in points["window"]]
                look: dict[str, Any] = {"color": styles[name]["color"], "alpha": 0.5}
                axes.scatter(x, points["value"], s=4, linewidths=0, **look)
        _label(axes, windows)

    scales = ("layers patched", SHORT_SCORES[means["score"].iloc[0]])
    return method_grid(panels, draw_panel, READINGS, scales, _words(means, panels), style)


def _words(means: pd.DataFrame, panels: canvas.MethodPanels) -> tuple[list[str], list[str]]:
    """What is shown, of how many concepts, and what the windows are."""
    counts = means.loc[means["concepts"] > 0, "concepts"]
    concepts = notes.spread(counts, "concept") if len(counts) else "no concept with a value"
    methods = notes.spread(pd.Series([means["method"].nunique()]), "method")
    kinds = [
        "suffix: each layer and all after it",
        "prefix: each layer and all before it" if PREFIX in set(means["window"]) else "",
    ]
    uncertainty = notes.uncertainty(panels, notes.SMALL, notes.BARS)
    shown = ["windows of each width", SPANS[means["span"].iloc[0]], notes.SCALE]
    return shown, [f"n = {methods}, {concepts}", *uncertainty, *kinds, notes.AVERAGED]


def _draw_means(axes: Axes, means: pd.DataFrame, x: Any, line_style: Mapping[str, Any]) -> None:
    """A reading's mean per window, joined over the sliding ones, with their intervals."""
    kinds = ["" if window_width(name) else name for name in means.index]
    for _, part in means.assign(x=x).groupby(kinds):
        axes.plot(part["x"], part["mean"], zorder=3, **line_style)
        colour = line_style["color"]
        axes.vlines(part["x"], part["low"], part["high"], color=colour, linewidth=0.8)


def _label(axes: Axes, windows: list[str]) -> None:
    """A tick per window, and a line after the sliding ones."""
    names = [str(window_width(name) or name) for name in windows]
    axes.set_xticks(range(len(windows)), names)
    axes.set_xlim(-0.5, len(windows) - 0.5)
    sliding = sum(window_width(name) is not None for name in windows)
    if 0 < sliding < len(windows):
        axes.axvline(sliding - 0.5, color="0.85", linewidth=0.6, zorder=0)
