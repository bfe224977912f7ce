"""How much comes back with wider windows, and how much of it without the last layer."""

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dissect.analysis.curve_groups import ALL_METHODS
from dissect.figures import canvas, grid, notes
from dissect.figures.style import SHORT_SCORES, SPANS, Look, Style, in_order
from dissect.inputs.windows import SUFFIX, window_width

# Statistic -> how it is drawn; what of a suffix is another thing than of a window has two names.
READINGS = {
    "peak": Look("best of all windows", None, "o"),
    "best_without_final_layer": Look("best without the last layer", 9, "^", (4, 1.5)),
    "final_window": Look("window at the last layer (suffix: it alone)", 4, "s", (1, 1)),
}
_KEY = ["origin", "method", "experiment", "window", "statistic"]
# Reading -> where it stands beside a width's tick.
_SHIFTS = dict(zip(READINGS, (-0.16, 0.0, 0.16), strict=True))


def single_concepts(concepts: pd.DataFrame) -> pd.DataFrame:
    """What the readings are in each concept, at the layer that the mean over concepts chooses.

    Args:
        concepts: what `concept_scores` returns, of one model, span, donor and score.

    Returns:
        _KEY, concept, value.
    """
    with_value = concepts[concepts["value"].notna()]
    last_layers = concepts.groupby("window", observed=True)["last_layer"].max()
    parts = []
    for key, frame in with_value.groupby(_KEY[:-1], sort=True, observed=True):
        last = last_layers[frame["window"].iloc[0]]
        means = frame.groupby("layer")["value"].mean()
        without = frame.loc[frame["last_layer"] < last, "layer"].unique()
        chosen = {
            "peak": means.idxmax(),
            "best_without_final_layer": means[without].idxmax() if len(without) else None,
            "final_window": last,
        }
        for statistic, layer in chosen.items():
            values = frame.loc[frame["layer"] == layer, ["concept", "value"]]
            names = dict(zip(_KEY, (*key, statistic), strict=True))
            parts.append(values.assign(**names))
    columns = [*_KEY, "concept", "value"]
    return pd.concat(parts)[columns] if parts else pd.DataFrame(columns=columns)


def draw_widths(statistics: pd.DataFrame, concepts: pd.DataFrame, style: Style) -> Figure:
    """Recovery against the windows' width: a panel per method (rows) and experiment (columns).

    Args:
        statistics: rows of tables/statistics.csv of one model, span, donor and score, of all
            windows; those of READINGS are drawn.
        concepts: what `concept_scores` returns of the same selection; drawn as points where there
            are too few for an interval.
    """
    is_drawn = statistics["statistic"].isin(list(READINGS)) & (statistics["method"] != ALL_METHODS)
    each = statistics[is_drawn]
    rows, windows = canvas.by_method(each), in_order_of_width(each["window"])
    singles = canvas.singles_of(rows, single_concepts(concepts), "n")
    shown = pd.concat([each["value"], each["low"], *(one["value"] for one in singles.values())])
    line_styles = grid.line_styles(READINGS, style)
    with canvas.applied(style, statistics):
        scales = ("layers put back", SHORT_SCORES[each["score"].iloc[0]])
        experiments = in_order(each["experiment"])
        figure, panels = grid.new_panels(rows, experiments, scales, shown, style)
        for (method, experiment), axes in panels.items():
            of_panel = rows[method][rows[method]["experiment"] == experiment]
            _draw_means(axes, of_panel, windows, line_styles)
            if method in singles:
                single = singles[method]
                _draw_singles(
                    axes, single[single["experiment"] == experiment], windows, line_styles
                )
        _label(panels.values(), windows)
        phrases = _phrases(each, len(singles), len(rows))
        notes.title(figure, each["model"].iloc[0], [*phrases, notes.cut_note(shown, style)], style)
        grid.legend(figure, list(line_styles.values()), style)
    return figure


def in_order_of_width(windows: "pd.Series[str]") -> list[str]:
    """Sliding windows by their width, then suffixes, whose widths are all there are."""
    return sorted(set(windows), key=lambda name: (name == SUFFIX, window_width(name) or 0))


def _phrases(each: pd.DataFrame, few: int, panels: int) -> list[str]:
    methods = notes.spread(pd.Series([each["method"].nunique()]), "method")
    with_value = each.loc[each["n"] > 0, "n"]
    concepts = "none with a value"
    if len(with_value):
        concepts = f"each with {notes.spread(with_value, 'concept')}"
    return [
        "suffix: each layer and all after it",
        f"loss over {SPANS[each['span'].iloc[0]]}",
        notes.SCALE,
        notes.AVERAGED,
        notes.SMALL if few else "",
        notes.BARS if few < panels else "",
        f"n = {methods}, {concepts}",
    ]


def _draw_means(
    axes: Axes,
    statistics: pd.DataFrame,
    windows: list[str],
    line_styles: Mapping[str, Mapping[str, Any]],
) -> None:
    """Each reading's means, joined over the sliding windows, with their intervals."""
    canvas.zero_line(axes)
    for name, shift in _SHIFTS.items():
        rows = statistics[statistics["statistic"] == name].set_index("window").reindex(windows)
        rows["x"] = [number + shift for number in range(len(windows))]
        for _, part in rows.groupby(rows.index == SUFFIX):
            axes.plot(part["x"], part["value"], zorder=3, **line_styles[name])
            colour = line_styles[name]["color"]
            axes.vlines(part["x"], part["low"], part["high"], color=colour, linewidth=0.8)
    if statistics["value"].isna().all():
        canvas.note(axes, "no value")


def _draw_singles(
    axes: Axes,
    concepts: pd.DataFrame,
    windows: list[str],
    line_styles: Mapping[str, Mapping[str, Any]],
) -> None:
    for name, shift in _SHIFTS.items():
        rows = concepts[concepts["statistic"] == name]
        x = [windows.index(window) + shift for window in rows["window"]]
        point: dict[str, Any] = {"color": line_styles[name]["color"], "alpha": 0.5, "linewidths": 0}
        axes.scatter(x, rows["value"], s=4, **point)


def _label(panels: Iterable[Axes], windows: list[str]) -> None:
    """A tick per window, and a line before suffixes."""
    for axes in panels:
        names = [str(window_width(name) or name) for name in windows]
        axes.set_xticks(range(len(windows)), names)
        axes.set_xlim(-0.5, len(windows) - 0.5)
        if windows[-1] == SUFFIX and len(windows) > 1:
            axes.axvline(len(windows) - 1.5, color="0.85", linewidth=0.6, zorder=0)
