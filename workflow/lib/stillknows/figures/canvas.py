"""What all figures share: the sheet and its panels, axes of scores, lines, legends, files."""

import textwrap
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from stillknows.analysis.bootstrap import MIN_CONCEPTS, interval_of_mean, mean_curve
from stillknows.errors import StudyError
from stillknows.figures.names import FONT_FAMILY, drawn_name, font_families
from stillknows.figures.style import COLOURS, EXPERIMENTS, Look, Style, in_order
from stillknows.files import atomic_path
from stillknows.terms import COMPARED_WITH, REFERENCE

GREY = "0.35"
_STRIPS = 0.8  # of a category's width, which seaborn's stripplot uses
SINGLE_WIDTH = 0.5  # of a single concept's line
_SINGLE = {"label": "", "marker": "", "linewidth": SINGLE_WIDTH, "alpha": 0.6, "zorder": 1.5}
TOP = 1.08  # of a score's axis: a little air above KRS 1
# How a mean is marked where it is no point of a line.
LARGE_MARK: dict[str, Any] = {
    "linestyle": "none",
    "markersize": 5,
    "markeredgecolor": "black",
    "markeredgewidth": 0.5,
}

NOTES = "Description"  # the text of a PNG that holds the figure's notes
# No date and no version of what drew it: the same data give the same bytes.
_METADATA: dict[str, tuple[str, dict[str, None]]] = {  # ending -> name of the notes, and the rest
    ".png": (NOTES, {"Software": None}),
    ".pdf": ("Subject", {"CreationDate": None, "Creator": None, "Producer": None}),
}
# Panel title -> its means, and its single concepts where they are too few for an interval.
Panels = dict[str, tuple[pd.DataFrame, pd.DataFrame]]
LineStyles = Mapping[str, Mapping[str, Any]]


@contextmanager
def applied(style: Style, frame: pd.DataFrame | None = None) -> Iterator[None]:
    """What is drawn or saved inside is in this style, with the fonts that `frame`'s names need."""
    small, normal = 7 * style.font_scale, 8 * style.font_scale
    settings = {
        **sns.axes_style("ticks"),
        "font.family": [FONT_FAMILY] if frame is None else font_families(frame),
        "font.size": small,
        "axes.labelsize": normal,
        "axes.titlesize": normal,
        "xtick.labelsize": small,
        "ytick.labelsize": small,
        "legend.fontsize": small,
        "legend.frameon": False,
        "axes.linewidth": 0.6,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "xtick.major.width": 0.6,
        "ytick.major.width": 0.6,
        "xtick.major.size": 2.5,
        "ytick.major.size": 2.5,
        "lines.linewidth": 1.0,
        "lines.markersize": 3.2,
        "pdf.fonttype": 42,  # embeds TrueType, which journals ask for
    }
    with mpl.rc_context(settings):
        yield


def styled(draw: Callable[..., Figure]) -> Callable[..., Figure]:
    """A function (table, ..., style=...) that draws in its style, with fonts for all names."""

    @wraps(draw)
    def in_style(table: pd.DataFrame, *tables: pd.DataFrame, style: Style, **more: Any) -> Figure:
        with applied(style, table):
            return draw(table, *tables, style=style, **more)

    return in_style


def save(figure: Figure, outputs: Iterable[Path], style: Style) -> None:
    """Write a figure in each name's format (.png, .pdf), whole or not at all, with its label."""
    for output in outputs:
        kind = output.suffix
        if kind not in _METADATA:
            raise StudyError(f"{output.name}: figures are written as {' or '.join(_METADATA)}")
        notes, metadata = _METADATA[kind]
        texts = {**metadata, notes: str(figure.get_label())}
        with applied(style), atomic_path(output) as partial:
            figure.savefig(partial, format=kind[1:], metadata=texts, dpi=style.dpi)


# The sheet.


def new_grid(size: tuple[float, float], rows: int, columns: int, **more: Any) -> tuple[Figure, Any]:
    """A figure and its (rows, columns) array of axes, outside pyplot's global state."""
    figure = Figure(figsize=size, layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, sharey=True, **more)


def columns_of(panels: int) -> int:
    """How many panels stand side by side: more than three would be too narrow for their words."""
    return min(panels, 2 if panels == 4 else 3)


def new_panels(
    titles: Collection[str],
    labels: tuple[str, str],
    size: tuple[float, float],
    legend_height: float,
    narrow: float = 0.5,
) -> tuple[Figure, list[Axes]]:
    """A figure with a panel per title, in rows of `columns_of`.

    labels: of the axes, across (under each panel) and up (at the left of each row). size: the width
    of the figure, and the height of one row of panels, in inches. narrow: the width of a figure of
    one panel, as a share of that width.
    """
    columns = columns_of(len(titles))
    rows = -(-len(titles) // columns)
    width = size[0] * (1 if columns > 1 else narrow)
    figure, grid = new_grid((width, rows * size[1] + legend_height), rows, columns)
    for spare in grid.flat[len(titles) :]:
        spare.remove()
    for number, (axes, title) in enumerate(zip(figure.axes, titles, strict=True)):
        axes.set_title(drawn_name(title), loc="left")
        axes.set(xlabel=labels[0], ylabel="" if number % columns else labels[1])
    return figure, figure.axes


def by_method(frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Panel title -> its rows: one per method and origin (named where copies have several)."""
    several = frame.loc[~frame["origin"].isin(COMPARED_WITH), "origin"].nunique() > 1
    groups = frame.groupby(["method", "origin"], sort=True, observed=True)
    return {
        f"{method}, {origin}"
        if several or (origin == REFERENCE and method != REFERENCE)
        else str(method): part
        for (method, origin), part in groups
    }


def method_panels(means: pd.DataFrame, concepts: pd.DataFrame) -> Panels:
    """A panel per method and origin.

    means: the column `mean` is drawn, of as many concepts as the column `concepts` says. concepts:
    what `concept_scores` returns of the same selection.
    """
    singles, nothing = by_method(concepts), concepts.iloc[:0]
    return {
        title: (
            rows,
            singles.get(title, nothing) if rows["concepts"].max() < MIN_CONCEPTS else nothing,
        )
        for title, rows in by_method(means).items()
    }


def concept_counts(panels: Panels) -> list[int]:
    return [int(means["concepts"].max()) for means, _ in panels.values()]


def values_shown(panels: Panels) -> "pd.Series[float]":
    return pd.concat(
        values.astype(float)
        for means, singles in panels.values()
        for values in (means["mean"], means["low"], singles["value"])
    )


def at_best_layer(concepts: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Each group's rows at the one layer whose mean over concepts is highest."""
    means = concepts.groupby([*by, "layer"], observed=True, as_index=False)["value"].mean()
    best = means.loc[means.groupby(by, observed=True)["value"].idxmax()]
    return concepts.merge(best[[*by, "layer"]])


# Axes.


def lowest_shown(shown: "pd.Series[float]", style: Style) -> float:
    """Where a score's axis ends below: under all that is shown, but not under `krs_minimum`."""
    low = shown.min() if shown.notna().any() else 0.0
    return float(max(min(low - 0.04, -0.12), style.krs_minimum))


def highest_shown(shown: "pd.Series[float]", style: Style) -> float:
    """Where it ends above: a KRS is at most 1, other scores may be higher."""
    high = shown.max() if shown.notna().any() else 1.0
    return float(max(TOP, min(high + 0.04, 1 - style.krs_minimum)))


def zero_line(axes: Axes, horizontal: bool = True) -> None:
    """A line where nothing is recovered, a fainter one where all is."""
    line = axes.axhline if horizontal else axes.axvline
    line(0, color=GREY, linewidth=0.8, zorder=0.5)
    line(1, color="0.75", linewidth=0.6, linestyle=(0, (1, 2)), zorder=0.5)


def layer_ticks(axes: Axes, most: int = 7) -> None:
    axes.xaxis.set_major_locator(MaxNLocator(nbins=most, integer=True))


def note(axes: Axes, text: str) -> None:
    lines = "\n".join(textwrap.wrap(text, 40))
    axes.text(0.03, 0.9, lines, transform=axes.transAxes, va="top", color=GREY)


# Lines, and the legend that explains them.


def line_styles(looks: Mapping[str, Look], style: Style, colours: int) -> dict[str, dict[str, Any]]:
    """What matplotlib calls each look, with `colours` colours in the palette."""
    palette = sns.color_palette(style.palette, colours)
    return {
        name: {
            "label": look.label,
            "color": "black" if look.colour is None else palette[look.colour],
            "marker": look.marker,
            "linestyle": (0, look.dashes) if look.dashes else "-",
            "markeredgecolor": "white",
            "markeredgewidth": 0.3,
        }
        for name, look in looks.items()
    }


def experiment_styles(style: Style, shown: Iterable[str]) -> dict[str, dict[str, Any]]:
    """`line_styles` of the experiments shown, in the paper's order: the same in every figure."""
    looks = {name: EXPERIMENTS[name] for name in in_order(shown)}
    return line_styles(looks, style, COLOURS)


def add_line(axes: Axes, rows: pd.DataFrame, value: str, **line_style: Any) -> None:
    """A line against layer, broken where a row has no value, but not where a layer has no row."""
    rows = rows.sort_values("layer")
    axes.plot(rows["layer"], rows[value], **line_style)


def add_curves(
    axes: Axes, means: pd.DataFrame, singles: pd.DataFrame, by: str, styles: LineStyles
) -> None:
    """A line per value of the column `by`, with its band where it has one, or thin single concepts.

    means: of one panel: layer, mean, low, high. singles: its single concepts, where they are too
    few for an interval: layer, value.
    """
    for name, line_style in styles.items():
        curve = means[means[by] == name].sort_values("layer")
        add_line(axes, curve, "mean", **line_style)
        add_band(axes, curve["layer"], curve["low"], curve["high"], line_style["color"])
        for _, concept in singles[singles[by] == name].groupby("concept", observed=True):
            add_line(axes, concept, "value", **{**line_style, **_SINGLE})


def add_mean(
    axes: Axes, values: pd.DataFrame, line_style: Mapping[str, Any], seed: int | None
) -> None:
    """The mean of (concepts, layers) with its interval; without a seed with a thin line per row."""
    layers, cube = values.columns, values.to_numpy(float)[None]
    axes.plot(layers, mean_curve(cube), **line_style)
    if seed is not None and len(values) >= MIN_CONCEPTS:
        add_band(axes, layers, *interval_of_mean(cube, seed), line_style["color"])
    elif len(values) > 1:
        axes.plot(layers, cube[0].T, **{**line_style, **_SINGLE})


def add_band(axes: Axes, layers: Any, low: Any, high: Any, colour: Any) -> None:
    if np.isfinite(low).any():
        axes.fill_between(layers, low, high, color=colour, alpha=0.2, linewidth=0)


def add_points(
    axes: Axes, rows: pd.DataFrame, names: Mapping[str, Any], marks: LineStyles, seed: int | None
) -> None:
    """Large means with their intervals, and small each concept, side by side in each category.

    names: columns and order of categories, as seaborn takes them: x, y, hue, order. marks: value of
    `hue` -> how its mean is marked. seed: of the bootstrap; None for no interval.
    """

    def interval(values: Any) -> tuple[float, float]:
        low, high = interval_of_mean(np.asarray(values, float)[None, :, None], seed or 0)
        return float(low[0]), float(high[0])

    labels = {"xlabel": axes.get_xlabel(), "ylabel": axes.get_ylabel()}
    colours = [mark["color"] for mark in marks.values()]
    shared = {**names, "hue_order": list(marks), "palette": colours, "legend": False, "ax": axes}
    sns.stripplot(rows, **shared, dodge=True, jitter=False, size=2.6, alpha=0.5, zorder=2)
    sns.pointplot(
        rows,
        **shared,
        **LARGE_MARK,
        markers=[mark["marker"] for mark in marks.values()],
        dodge=_STRIPS * (1 - 1 / len(marks)),
        errorbar=None if seed is None else interval,
        err_kws={"linewidth": 1.2},
        zorder=3,
    )
    axes.set(**labels)  # not seaborn's


def legend(
    figure: Figure,
    line_styles: Sequence[Mapping[str, Any]],
    columns: int,
    side: str = "center",
    length: float = 3.2,
) -> None:
    """Under all panels, an entry per style, in rows of like length; `length` in font sizes."""
    if not line_styles:
        return
    rows = -(-len(line_styles) // columns)
    where: Any = f"outside lower {side}"  # matplotlib's types do not know all sides
    figure.legend(
        handles=[Line2D([], [], **line_style) for line_style in line_styles],
        loc=where,
        ncols=-(-len(line_styles) // rows),
        handlelength=length,
        handletextpad=0.5,
        columnspacing=1.2,
    )
