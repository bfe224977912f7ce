"""The words above a figure: what it shows, of how many, and what lies outside its axes."""

import textwrap
from collections.abc import Iterable

import pandas as pd
from matplotlib.figure import Figure

from dissect.analysis.curve_groups import ALL_METHODS
from dissect.figures.canvas import MethodPanels, score_ceiling
from dissect.figures.names import literal, one_line, shortened
from dissect.figures.style import EXPERIMENTS, SPANS, Style, in_order, window_label

SCALE = "1 = the original's logits, 0 = the unlearned model's"
AVERAGED = "mean over questions, then concepts"
SMALL = "small: single concepts"
LARGE = f"large: {AVERAGED}"
BARS = "bars: 95 % bootstrap intervals over concepts"
BANDS = "bands: 95 % bootstrap intervals over concepts"


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


def setting(window: str, span: str) -> list[str]:
    """What was patched, which positions were compared, how the score reads."""
    return [window_label(window), f"loss over {SPANS[span]}", SCALE]


def uncertainty(
    panels: MethodPanels, singles: str = "thin lines: single concepts", intervals: str = BANDS
) -> list[str]:
    """Words on single concepts and on intervals, where they are drawn."""
    has_intervals = len(panels.singles) < len(panels.rows)
    return [singles if panels.singles else "", intervals if has_intervals else ""]


def counted(curves: pd.DataFrame) -> list[str]:
    """How many methods, concepts and questions stand behind rows of curves.csv, per origin."""
    each = curves[curves["method"] != ALL_METHODS]
    several = each["origin"].nunique() > 1
    return [
        (f"{origin}: " if several else "") + _counted(part)
        for origin, part in each.groupby("origin", sort=True)
    ]


def _counted(each: pd.DataFrame) -> str:
    number = each["method"].nunique()
    concepts, questions = spread(each["concepts"], "concept"), spread(each["questions"], "question")
    null = each.groupby("method")["null"].max()
    without = f" ({_range(null)} more without a value)" if null.any() else ""
    having = "with" if number == 1 else "each with"
    methods = spread(pd.Series([number]), "method")
    return f"n = {methods}, {having} {concepts}{_uneven(each)} and {questions}{without}"


def _uneven(each: pd.DataFrame) -> str:
    """Where sweeps are missing: how many concepts stand behind each curve."""
    counts = each.groupby(["method", "experiment"])["concepts"].max().unstack()
    if counts.stack().nunique() == 1:
        return ""
    phrases = []
    for method, row in counts.iterrows():
        by_name = row.dropna().astype(int)
        numbers = [f"{EXPERIMENTS[name].label} {by_name[name]}" for name in in_order(by_name.index)]
        same = by_name.nunique() == 1
        phrases.append(f"{method} {by_name.iloc[0] if same else ', '.join(numbers)}")
    return f" ({'; '.join(phrases)})"


def spread(values: "pd.Series[int]", noun: str) -> str:
    """A count in words: `10 concepts`, or `9-10 concepts` where it is not the same everywhere."""
    return f"{_range(values)} {noun}{'' if values.max() == 1 else 's'}"


def _range(values: "pd.Series[int]") -> str:
    low, high = int(values.min()), int(values.max())
    return f"{low}" if low == high else f"{low}\N{EN DASH}{high}"


def cut_note(shown: "pd.Series[float]", style: Style, what: str = "axis") -> str:
    """Words on values below what the axis or the colours show; empty if there are none."""
    below = shown[shown < style.krs_minimum]
    if below.empty:
        return ""
    lie = "1 value lies" if len(below) == 1 else f"{len(below)} values lie"
    lowest = signed(round(below.min(), 2))
    return f"{what} cut at {signed(style.krs_minimum)}: {lie} below, the lowest at {lowest}"


def ceiling_note(shown: "pd.Series[float]", style: Style) -> str:
    """Words on values above what the axis shows; empty if there are none."""
    above = shown[shown > score_ceiling(shown, style)]
    if above.empty:
        return ""
    return f"{len(above)} above the axis, the highest at {signed(above.max())}"


def signed(number: float) -> str:
    """A number in words, with a true minus sign."""
    return f"{number:.3g}".replace("-", "\N{MINUS SIGN}")
