"""What all figures share: figure, axis of scores, title, legend, files that reproduce."""

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from dissect.errors import DissectError
from dissect.figures.names import FONT_FAMILY, font_families, literal, one_line, shortened
from dissect.figures.style import (
    CONTROLS,
    SPANS,
    Style,
    label_of,
    looks_of,
    signed,
    window_label,
)
from dissect.files import atomic_path
from dissect.results.curve_groups import ALL_METHODS

GREY = "0.35"
FLOOR_WIDTH = 0.7  # of a control's line
TOP = 1.08  # of a score's axis: a little air above KRS 1

# No date and no version of what drew it: the same data give the same bytes.
_METADATA: dict[str, dict[str, None]] = {
    ".png": {"Software": None},
    ".pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}


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


def columns_of(panels: int) -> int:
    """How many panels stand side by side: more than three would be too narrow for their words."""
    return min(panels, 2 if panels == 4 else 3)


def new_figure(
    size: tuple[float, float], rows: int, columns: int, **more: Any
) -> tuple[Figure, Any]:
    """A figure and its (rows, columns) array of axes, outside pyplot's global state."""
    figure = Figure(figsize=size, layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, **more)


def save(figure: Figure, outputs: Iterable[Path], style: Style) -> None:
    """Write a figure in the format of each name (.png, .pdf), whole or not at all.

    Raises:
        DissectError: for another format.
    """
    for output in outputs:
        kind = output.suffix
        if kind not in _METADATA:
            raise DissectError(f"{output.name}: figures are written as {' or '.join(_METADATA)}")
        with applied(style), atomic_path(output) as partial:
            figure.savefig(partial, format=kind[1:], metadata=_METADATA[kind], dpi=style.dpi)


def colours(experiments: Iterable[str], style: Style) -> dict[str, Any]:
    """One colour per experiment, the same in every figure."""
    numbers, _, _ = looks_of(experiments)
    return dict(zip(numbers, sns.color_palette(style.palette, len(numbers)), strict=True))


def plain(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with text in place of pandas categories."""
    keys = [name for name, kind in frame.dtypes.items() if isinstance(kind, pd.CategoricalDtype)]
    return frame.astype(dict.fromkeys(keys, str))


def by_method(frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Panel title -> its rows: one per method, and per origin where there are several."""
    keys = ["method", "origin"] if frame["origin"].nunique() > 1 else ["method"]
    return {", ".join(map(str, key)): part for key, part in frame.groupby(keys, sort=True)}


def score_floor(shown: "pd.Series[float]", style: Style) -> float:
    """Where a score's axis ends below: under all that is shown, but not under `krs_floor`."""
    low = shown.min() if shown.notna().any() else 0.0
    return float(max(min(low - 0.04, -0.12), style.krs_floor))


def score_ceiling(shown: "pd.Series[float]", style: Style) -> float:
    """Where it ends above: a KRS is at most 1, other scores may lie as far above as `krs_floor`."""
    high = shown.max() if shown.notna().any() else 1.0
    return float(max(TOP, min(high + 0.04, 1 - style.krs_floor)))


def zero_line(axes: Axes, horizontal: bool = True) -> None:
    """A line where nothing is recovered, a fainter one where all is."""
    line = axes.axhline if horizontal else axes.axvline
    line(0, color=GREY, linewidth=0.8, zorder=0.5)
    line(1, color="0.75", linewidth=0.6, linestyle=(0, (1, 2)), zorder=0.5)


def layer_ticks(axes: Axes, most: int = 7) -> None:
    """Whole layers only, at most so many intervals."""
    axes.xaxis.set_major_locator(MaxNLocator(nbins=most, integer=True))


def runs(frame: pd.DataFrame, by: Sequence[str], value: str) -> pd.DataFrame:
    """The rows that have a value, with `run`: a number that changes where a layer has none.

    A line is drawn per run, so that none bridges a layer without a value.
    """
    rows = frame[frame[value].notna()].sort_values([*by, "layer"], ignore_index=True)
    curve = rows.groupby(list(by), observed=True).ngroup()
    starts = (rows["layer"].diff() != 1) | (curve.diff() != 0)
    rows["run"] = starts.cumsum()
    return rows


def setting(window: str, span: str) -> list[str]:
    """What was put back, which positions were compared, how the score reads."""
    return [
        window_label(window),
        f"loss over {SPANS.get(span, span)}",
        "1 = the original's logits, 0 = the unlearned model's",
    ]


def counted(curves: pd.DataFrame) -> list[str]:
    """How many methods, concepts and questions stand behind rows of curves.csv, per origin."""
    each = curves[curves["method"] != ALL_METHODS]
    several = each["origin"].nunique() > 1
    return [
        (f"{origin}: " if several else "") + _counted(part)
        for origin, part in each.groupby("origin", sort=True)
    ]


def _counted(each: pd.DataFrame) -> str:
    methods = spread(pd.Series([each["method"].nunique()]), "method")
    concepts, questions = spread(each["concepts"], "concept"), spread(each["questions"], "question")
    null = each.groupby("method")["null"].max()
    without = f" ({_range(null)} more without a value)" if null.any() else ""
    having = "with" if each["method"].nunique() == 1 else "each with"
    return f"n = {methods}, {having} {concepts}{_uneven(each)} and {questions}{without}"


def _uneven(each: pd.DataFrame) -> str:
    """Where cells are missing: how many concepts stand behind each curve."""
    counts = each.groupby(["method", "experiment"], observed=True)["concepts"].max().unstack()
    if counts.stack().nunique() == 1:
        return ""
    phrases = []
    for method, row in counts.iterrows():
        by_experiment = [f"{label_of(str(name))} {int(n)}" for name, n in row.dropna().items()]
        same = row.nunique() == 1
        phrases.append(
            f"{method} {int(row.max())}" if same else f"{method} {', '.join(by_experiment)}"
        )
    return f" ({'; '.join(phrases)})"


def spread(values: "pd.Series[int]", noun: str) -> str:
    """A count in words: `10 concepts`, or `9-10 concepts` where it is not the same everywhere."""
    return f"{_range(values)} {noun}{'' if values.max() == 1 else 's'}"


def _range(values: "pd.Series[int]") -> str:
    low, high = int(values.min()), int(values.max())
    return f"{low}" if low == high else f"{low}\N{EN DASH}{high}"


def cut_note(shown: "pd.Series[float]", style: Style, what: str = "axis") -> str:
    """Words on values below what the axis or the colours show; empty if there are none."""
    below = shown[shown < style.krs_floor]
    if below.empty:
        return ""
    lie = "1 value lies" if len(below) == 1 else f"{len(below)} values lie"
    lowest = signed(round(below.min(), 2))
    return f"{what} cut at {signed(style.krs_floor)}: {lie} below, the lowest at {lowest}"


def ceiling_note(shown: "pd.Series[float]", style: Style) -> str:
    """Words on values above what the axis shows; empty if there are none."""
    above = shown[shown > score_ceiling(shown, style)]
    return (
        f"{len(above)} above the axis, the highest at {signed(above.max())}" if len(above) else ""
    )


def title(figure: Figure, model: str, phrases: Iterable[str], style: Style) -> None:
    """The model's name and, under it, what is shown, in lines as wide as the figure.

    The figure grows by the height of the title, so that the panels keep their height.
    """
    size = 7 * style.font_scale
    width = int(figure.get_figwidth() * 72 / (0.56 * size))
    lines = [shortened(one_line(model), width), *_set_in_lines(phrases, width)]
    text = literal("\n".join(lines))
    figure.suptitle(text, x=0.01, ha="left", fontsize=size, linespacing=1.25)
    figure.set_figheight(figure.get_figheight() + len(lines) * 1.3 * size / 72)


def _set_in_lines(phrases: Iterable[str], width: int) -> list[str]:
    """Phrases joined by semicolons, broken between phrases unless one is longer than a line."""
    lines: list[str] = []
    for phrase in filter(None, phrases):
        if lines and len(lines[-1]) + len(phrase) + 2 <= width:
            lines[-1] += f"; {phrase}"
        else:
            lines += textwrap.wrap(phrase, width)
    return lines


def no_value(axes: Axes, names: Sequence[str]) -> None:
    """Say in the panel which curves have no value at all."""
    if names:
        words = textwrap.wrap("no value (unpatched loss 0): " + ", ".join(names), 40)
        axes.text(0.02, 0.9, "\n".join(words), transform=axes.transAxes, va="top", color=GREY)


def legend_below(
    figure: Figure,
    experiments: Iterable[str],
    style: Style,
    columns: int,
    controls: Iterable[str] = (),
) -> None:
    """One legend of the experiments, and of the controls, for all panels, under them."""
    names = list(experiments)
    palette = colours(names, style)
    _, markers, dashes = looks_of(names)
    handles = []
    for name in names:
        edge: dict[str, Any] = {"markeredgecolor": "white", "markeredgewidth": 0.3}
        line = Line2D(
            [], [], color=palette[name], marker=markers[name], label=label_of(name), **edge
        )
        line.set_dashes(dashes[name])
        handles.append(line)
    for donor in controls:
        _, label, dashes_of_donor = CONTROLS[donor]
        label = f"floor: {label}"
        handles.append(Line2D([], [], color=GREY, linewidth=FLOOR_WIDTH, label=label))
        handles[-1].set_dashes(dashes_of_donor)
    # In rows of like length: no entry alone in the last one.
    columns = -(-len(handles) // -(-len(handles) // columns))
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, handlelength=3.2)
