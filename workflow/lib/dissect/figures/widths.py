"""How much comes back with wider windows, and how much of it without the last layer."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dissect.figures import canvas, grid
from dissect.figures.grid import Reading
from dissect.figures.style import SCORES, SPANS, Style, in_order
from dissect.results.bootstrap import MIN_CONCEPTS
from dissect.results.curve_groups import ALL_METHODS
from dissect.study.windows import SUFFIX, window_width

# Statistic -> how it is drawn; what of a suffix is another thing than of a window has two names.
READINGS = {
    "peak": Reading("best of all windows", None, "o", ()),
    "best_without_final_layer": Reading("best without the last layer", 9, "^", (4, 1.5)),
    "final_window": Reading("window at the last layer (suffix: it alone)", 4, "s", (1, 1)),
}
_KEY = ["origin", "method", "experiment", "window", "statistic"]
_DODGE = 0.16  # between the readings at one width


def single_concepts(concepts: pd.DataFrame) -> pd.DataFrame:
    """What the readings are in each concept, at the layer that the mean over concepts chooses.

    Args:
        concepts: what `concept_scores` returns, of one model, span, donor and score.

    Returns:
        _KEY, concept, value.
    """
    plain = canvas.plain(concepts)
    parts = []
    for key, frame in plain[plain["value"].notna()].groupby(_KEY[:-1], sort=True):
        windows = plain[plain["window"] == frame["window"].iloc[0]]
        mean = frame.groupby("layer")["value"].mean()
        without = frame.loc[frame["last_layer"] < windows["last_layer"].max(), "layer"].unique()
        chosen = {
            "peak": mean.idxmax(),
            "best_without_final_layer": mean[without].idxmax() if len(without) else None,
            "final_window": windows["layer"].max(),
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
    windows = in_order_of_width(each["window"])
    methods, experiments = canvas.by_method(each), in_order(each["experiment"])
    points = canvas.by_method(single_concepts(concepts))
    few = [name for name, frame in methods.items() if frame["n"].max() < MIN_CONCEPTS]
    shown = pd.concat(
        [each["value"], each["low"], *(points[name]["value"] for name in few if name in points)]
    )
    with canvas.applied(style, statistics):
        figure, panels = grid.new_panels(len(methods), len(experiments), style)
        for row, (method, frame) in zip(panels, methods.items(), strict=True):
            for panel, experiment in zip(row, experiments, strict=True):
                single = points.get(method) if method in few else None
                _panel(panel, frame, single, experiment, windows, style)
        scale = SCORES.get(each["score"].iloc[0], [each["score"].iloc[0]])[-1]
        grid.label(panels, methods, experiments, ("layers put back", scale), shown, style)
        canvas.title(figure, each["model"].iloc[0], _words(each, few, shown, style), style)
        grid.legend(figure, READINGS.values(), style)
    return figure


def in_order_of_width(windows: "pd.Series[str]") -> list[str]:
    """Sliding windows by their width, then suffixes, whose widths are all there are."""
    return sorted(set(windows), key=lambda name: (name == SUFFIX, window_width(name) or 0))


def _words(
    each: pd.DataFrame, few: list[str], shown: "pd.Series[float]", style: Style
) -> list[str]:
    span = each["span"].iloc[0]
    methods = each["method"].nunique()
    counted = each[each["n"] > 0]
    n = (
        f"each with {canvas.spread(counted['n'], 'concept')}"
        if len(counted)
        else "none with a value"
    )
    several = len(few) < each[["method", "origin"]].drop_duplicates().shape[0]
    return [
        "suffix: each layer and all after it",
        f"loss over {SPANS.get(span, span)}",
        "1 = the original's logits, 0 = the unlearned model's",
        "mean over questions, then concepts",
        "small: single concepts" if few else "",
        "bars: 95 % bootstrap intervals over concepts" if several else "",
        f"n = {canvas.spread(pd.Series([methods]), 'method')}, {n}",
        canvas.cut_note(shown, style),
    ]


def _panel(
    axes: Axes,
    statistics: pd.DataFrame,
    concepts: pd.DataFrame | None,
    experiment: str,
    windows: list[str],
    style: Style,
) -> None:
    """Each reading's means joined over the widths; intervals or single concepts at each."""
    canvas.zero_line(axes)
    drawn = statistics[statistics["experiment"] == experiment]
    for number, (name, reading) in enumerate(READINGS.items()):
        shift = (number - (len(READINGS) - 1) / 2) * _DODGE
        line_style = reading.line(style)
        rows = drawn[drawn["statistic"] == name].set_index("window").reindex(windows)
        sliding = [index for index, window in enumerate(windows) if window != SUFFIX]
        for indices in (sliding, [index for index in range(len(windows)) if index not in sliding]):
            part = rows.iloc[indices]
            across = [index + shift for index in indices]
            axes.plot(across, part["value"], zorder=3, **line_style)
            axes.vlines(across, part["low"], part["high"], color=line_style["color"], linewidth=0.8)
        if concepts is not None:
            single = concepts[
                (concepts["experiment"] == experiment) & (concepts["statistic"] == name)
            ]
            across = [windows.index(window) + shift for window in single["window"]]
            axes.scatter(
                across, single["value"], s=4, color=line_style["color"], alpha=0.5, linewidths=0
            )
    if drawn["value"].isna().all():
        axes.text(0.05, 0.9, "no value", transform=axes.transAxes, va="top", color=canvas.GREY)
    names = [name if window_width(name) is None else f"{window_width(name)}" for name in windows]
    axes.set_xticks(range(len(windows)), names)
    axes.set_xlim(-0.5, len(windows) - 0.5)
    if windows[-1] == SUFFIX and len(windows) > 1:
        axes.axvline(len(windows) - 1.5, color="0.85", linewidth=0.6, zorder=0)
