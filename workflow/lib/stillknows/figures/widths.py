"""How much comes back with wider windows, and how much of it without the last layer."""

import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stillknows.analysis.tables import ALL_METHODS, DONOR
from stillknows.engine.windows import PREFIX, window_width
from stillknows.figures import canvas, notes
from stillknows.figures.compared import COLOURS, method_grid
from stillknows.figures.style import SHORT_SCORES, SPANS, Look, Style

# Statistic -> how it is drawn; what of a suffix is another thing than of a window has two names.
_READINGS = {
    "peak": Look("best of all windows", None, "o"),
    "best_without_final_layer": Look("best without the last layer", 9, "^", (4, 1.5)),
    "final_window": Look("window at the last layer (suffix: that layer alone)", 4, "s", (1, 1)),
}
_SHIFT = 0.16  # between readings, beside a width's tick
_KEY = ["origin", "method", "experiment", "window"]


def single_concepts(concepts: pd.DataFrame) -> pd.DataFrame:
    """_KEY, statistic, concept, value: each concept's readings, where the mean chooses."""
    by_window = concepts.groupby("window", observed=True)["last_layer"]
    scored = concepts.assign(last=by_window.transform("max")).dropna(subset="value")
    without_last = scored[scored["last_layer"] < scored["last"]]
    readings = {
        "peak": canvas.at_best_layer(scored, _KEY),
        "best_without_final_layer": canvas.at_best_layer(without_last, _KEY),
        "final_window": scored[scored["layer"] == scored["last"]],
    }
    read = pd.concat([rows.assign(statistic=name) for name, rows in readings.items()])
    return read[[*_KEY, "statistic", "concept", "value"]]


@canvas.styled
def draw_widths(statistics: pd.DataFrame, concepts: pd.DataFrame, *, style: Style) -> Figure:
    """Recovery against the windows' width: a panel per method (rows) and experiment (columns)."""
    recovery = statistics[(statistics["method"] != ALL_METHODS) & (statistics["donor"] == DONOR)]
    read = recovery[recovery["statistic"].isin(list(_READINGS))]
    means = read.rename(columns={"value": "mean", "n": "concepts"})
    # Sliding windows by their width, then suffixes and prefixes, whose widths are all there are.
    windows = sorted(
        set(means["window"]), key=lambda name: (window_width(name) or math.inf, name == PREFIX)
    )
    sliding = [name for name in windows if window_width(name)]
    panels = canvas.method_panels(means, single_concepts(concepts))
    styles = canvas.line_styles(_READINGS, style, COLOURS)

    def draw_panel(axes: Axes, means: pd.DataFrame, singles: pd.DataFrame) -> None:
        for number, (name, line_style) in enumerate(styles.items()):
            rows = means[means["statistic"] == name].set_index("window").reindex(windows)
            points = singles[singles["statistic"] == name]
            rows["x"] = np.arange(len(windows)) + (number - 1) * _SHIFT
            # Joined over the sliding windows only.
            for part in (sliding, *([name] for name in windows if name not in sliding)):
                axes.plot(rows.loc[part, "x"], rows.loc[part, "mean"], zorder=3, **line_style)
            colour = line_style["color"]
            axes.vlines(rows["x"], rows["low"], rows["high"], color=colour, linewidth=0.8)
            x = rows["x"].reindex(points["window"])
            axes.scatter(x, points["value"], s=4, linewidths=0, color=colour, alpha=0.5)
        axes.set_xticks(range(len(windows)), [str(window_width(name) or name) for name in windows])
        axes.set_xlim(-0.5, len(windows) - 0.5)
        if 0 < len(sliding) < len(windows):
            axes.axvline(len(sliding) - 0.5, color="0.85", linewidth=0.6, zorder=0)

    scales = ("layers patched", SHORT_SCORES[means["score"].iloc[0]])
    counts = means.loc[means["concepts"] > 0, "concepts"]
    count = notes.spread(counts, "concept") if len(counts) else "no concept with a value"
    methods = notes.spread([means["method"].nunique()], "method")
    uncertainty = notes.uncertainty(
        canvas.concept_counts(panels), "points: single concepts", notes.BARS
    )
    shown = ["windows of each width", SPANS[means["span"].iloc[0]], notes.SCALE]
    words = shown, [f"n = {methods}, {count}", *uncertainty]
    return method_grid(panels, draw_panel, styles, scales, words, style)
