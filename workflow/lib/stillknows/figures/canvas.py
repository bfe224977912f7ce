"""What all figures share: the sheet and its panels, axes of scores, lines, legends, files."""

import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from stillknows.analysis.bootstrap import MIN_CONCEPTS
from stillknows.errors import StudyError
from stillknows.figures.names import FONT_FAMILY, font_families
from stillknows.figures.style import COLOURS, EXPERIMENTS, Look, Style, in_order
from stillknows.files import atomic_path
from stillknows.terms import COMPARED_WITH, REFERENCE

GREY = "0.35"
SINGLE_WIDTH = 0.5  # of a single concept's line
TOP = 1.08  # of a score's axis: a little air above KRS 1
# Of a reference model in the panels of copies.
REFERENCE_LINE: dict[str, Any] = {
    "label": "reference model",
    "color": "0.45",
    "linestyle": (0, (2.5, 1.2)),
    "linewidth": 1.1,
    "marker": "o",
    "markersize": 2.6,
    "markerfacecolor": "white",
    "markeredgewidth": 0.6,
    "zorder": 1.9,
}
_HOLLOW_MARKS = 6  # at about so many points of its lines
# How a mean is marked where it is no point of a line.
LARGE_MARK: dict[str, Any] = {
    "linestyle": "none",
    "markersize": 5,
    "markeredgecolor": "black",
    "markeredgewidth": 0.5,
}

# No date and no version of what drew it: the same data give the same bytes.
_METADATA: dict[str, dict[str, None]] = {
    ".png": {"Software": None},
    ".pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}
NOTES = "Description"  # the text of a PNG that holds the figure's notes
_NOTES_OF = {".png": NOTES, ".pdf": "Subject"}


@contextmanager
def applied(style: Style, frame: pd.DataFrame | None = None) -> Iterator[None]:
    """What is drawn or saved inside is in this style; nothing outside changes.

    Args:
        frame: the table that is drawn, for whose names further fonts may be needed.
    """
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


def save(figure: Figure, outputs: Iterable[Path], style: Style) -> None:
    """Write a figure in the format of each name (.png, .pdf), whole or not at all.

    Its label, which `notes.title` sets, is a text in the file.

    Raises:
        StudyError: for another format.
    """
    for output in outputs:
        kind = output.suffix
        if kind not in _METADATA:
            raise StudyError(f"{output.name}: figures are written as {' or '.join(_METADATA)}")
        metadata = _METADATA[kind] | {_NOTES_OF[kind]: str(figure.get_label())}
        with applied(style), atomic_path(output) as partial:
            figure.savefig(partial, format=kind[1:], metadata=metadata, dpi=style.dpi)


# The sheet.


def new_grid(size: tuple[float, float], rows: int, columns: int, **more: Any) -> tuple[Figure, Any]:
    """A figure and its (rows, columns) array of axes, outside pyplot's global state."""
    figure = Figure(figsize=size, layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, sharey=True, **more)


def columns_of(panels: int) -> int:
    """How many panels stand side by side: more than three would be too narrow for their words."""
    return min(panels, 2 if panels == 4 else 3)


def new_panels(
    count: int, size: tuple[float, float], more_height: float, **more: Any
) -> tuple[Figure, list[Axes]]:
    """A figure of so many panels, in rows of `columns_of`.

    Args:
        size: the figure's width, and the height of one row.
        more_height: what the figure is higher than its rows.
    """
    columns = columns_of(count)
    rows = -(-count // columns)
    figure, grid = new_grid((size[0], rows * size[1] + more_height), rows, columns, **more)
    for spare in grid.flat[count:]:
        spare.remove()
    return figure, list(grid.flat[:count])


def by_method(frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Panel title -> its rows: one per method and origin.

    The origin is named where copies have several, and of a reference model.
    """
    several = frame.loc[~frame["origin"].isin(COMPARED_WITH), "origin"].nunique() > 1
    groups = frame.groupby(["method", "origin"], sort=True, observed=True)
    return {
        f"{method}, {origin}"
        if several or (origin == REFERENCE and method != REFERENCE)
        else str(method): part
        for (method, origin), part in groups
    }


def at_best_layer(concepts: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Each group's rows at the layer whose mean over concepts is highest.

    It is the same layer for all concepts, so that a concept's own luck cannot choose it.
    """
    means = concepts.groupby([*by, "layer"], observed=True, as_index=False)["value"].mean()
    best = means.loc[means.groupby(by, observed=True)["value"].idxmax()]
    return concepts.merge(best[[*by, "layer"]])


class MethodPanels(NamedTuple):
    """What is drawn in panels of one method each.

    Attributes:
        rows: panel title -> its means.
        singles: panel title -> its single concepts, where these are too few for an interval.
        shown: all values that the axes must have room for.
    """

    rows: dict[str, pd.DataFrame]
    singles: dict[str, pd.DataFrame]
    shown: "pd.Series[float]"

    @classmethod
    def of(cls, means: pd.DataFrame, concepts: pd.DataFrame) -> "MethodPanels":
        """The column `mean` is drawn, of as many concepts as the column `concepts` says."""
        rows, singles = by_method(means), by_method(concepts)
        few = [title for title, part in rows.items() if part["concepts"].max() < MIN_CONCEPTS]
        drawn = {title: singles.get(title, concepts.iloc[:0]) for title in few}
        values = [means["mean"], means["low"], *(part["value"] for part in drawn.values())]
        return cls(rows, drawn, pd.concat(values))


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
    """Whole layers only, at most so many intervals."""
    axes.xaxis.set_major_locator(MaxNLocator(nbins=most, integer=True))


def note(axes: Axes, text: str, x: float = 0.05) -> None:
    """Words in a panel, at its top."""
    lines = "\n".join(textwrap.wrap(text, 40))
    axes.text(x, 0.9, lines, transform=axes.transAxes, va="top", color=GREY)


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
    values = rows.set_index("layer")[value].sort_index()
    values = values.loc[values.first_valid_index() : values.last_valid_index()]
    if values.notna().any():
        axes.plot(values.index, values, **line_style)


def add_band(axes: Axes, rows: pd.DataFrame, colour: Any) -> None:
    """The interval of each layer that has one."""
    if rows["low"].isna().all():
        return
    rows = rows.sort_values("layer")
    band: dict[str, Any] = {"color": colour, "alpha": 0.2, "linewidth": 0}
    axes.fill_between(rows["layer"], rows["low"], rows["high"], **band)


def add_singles(axes: Axes, rows: pd.DataFrame, **line_style: Any) -> None:
    """A thin line per concept."""
    thin = {"marker": "", "linewidth": SINGLE_WIDTH, "alpha": 0.6, "zorder": 1.5}
    for _, concept in rows.groupby("concept", observed=True):
        add_line(axes, concept, "value", **line_style | thin)


def add_curves(
    axes: Axes, rows: pd.DataFrame, singles: pd.DataFrame | None, style: Style, why_empty: str
) -> None:
    """A line per experiment, with its band where it has one, or with the single concepts.

    Args:
        rows: the means of one panel.
        singles: its single concepts, where these are too few for an interval.
        why_empty: the words before the names of experiments that have no value.
    """
    empty = []
    for experiment, line_style in experiment_styles(style, rows["experiment"]).items():
        curve = rows[rows["experiment"] == experiment]
        add_line(axes, curve, "mean", **line_style)
        if curve["mean"].isna().all():
            empty.append(line_style["label"])
        add_band(axes, curve, line_style["color"])
        if singles is not None:
            of_experiment = singles[singles["experiment"] == experiment]
            add_singles(axes, of_experiment, **line_style)
    if empty:
        note(axes, f"{why_empty}: " + ", ".join(empty), 0.02)


def add_reference(axes: Axes, rows: pd.DataFrame, references: pd.DataFrame, style: Style) -> None:
    """A dashed grey line per experiment of the reference model, in a panel of copies.

    The hollow markers say which experiment. Nothing is added to the reference model's own panel.
    """
    if (rows["origin"] == REFERENCE).all():
        return
    for experiment, line_style in experiment_styles(style, references["experiment"]).items():
        curve = references[references["experiment"] == experiment]
        marks = {
            "marker": line_style["marker"],
            "markeredgecolor": line_style["color"],
            "markevery": max(1, len(curve) // _HOLLOW_MARKS),  # more would hide the dashes
        }
        add_line(axes, curve, "mean", **REFERENCE_LINE | marks)


def legend(
    figure: Figure,
    line_styles: Sequence[Mapping[str, Any]],
    columns: int,
    side: str = "center",
    length: float = 3.2,
) -> None:
    """Under all panels, an entry per style. Rows are of like length: no entry is alone in one.

    Args:
        length: of a line, in font sizes.
    """
    if not line_styles:
        return
    rows = -(-len(line_styles) // columns)
    where: Any = f"outside lower {side}"  # matplotlib's types do not know all sides
    figure.legend(
        handles=[Line2D([], [], **line_style) for line_style in line_styles],
        loc=where,
        ncols=-(-len(line_styles) // rows),
        handlelength=length,
    )
