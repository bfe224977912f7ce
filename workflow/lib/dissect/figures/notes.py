"""The words of a figure: two lines above it, and all of its notes, which are saved with it."""

from collections.abc import Iterable, Sequence

import pandas as pd
from matplotlib.figure import Figure

from dissect.analysis.curve_groups import ALL_METHODS
from dissect.figures.canvas import MethodPanels, highest_shown
from dissect.figures.names import literal, one_line, shortened
from dissect.figures.style import EXPERIMENTS, SPANS, Style, in_order, window_label

SCALE = "1 = the original's logits, 0 = the unlearned model's"
AVERAGED = "mean over questions, then concepts"
SMALL = "small: single concepts"
LARGE = f"large: {AVERAGED}"
BARS = "bars: 95 % bootstrap intervals over concepts"
BANDS = "bands: 95 % bootstrap intervals over concepts"
_NAME = 12  # characters that a model's name has at least
# The same where there is little room.
_SHORT = {BARS: "bars: 95 % intervals", BANDS: "bands: 95 % intervals"}


def title(
    figure: Figure,
    model: str,
    shown: Iterable[str],
    counted: Iterable[str],
    notes: Iterable[str],
    style: Style,
) -> None:
    """Two lines above a figure, as wide as it; and its notes, which `canvas.save` puts in its file.

    The figure grows by the height of the lines, so that the panels keep their height.

    Args:
        shown: what is shown, for the line that begins with the model's name.
        counted: of how many, and what bands and marks are, for the second line.
        notes: all that a reader of the report is told under the figure.
    """
    size = 7 * style.font_scale
    width = int(figure.get_figwidth() * 72 / (0.56 * size))
    shown, counted = ([*filter(None, phrases)] for phrases in (shown, counted))
    room = width - sum(map(len, shown[:1])) - 2
    name = shortened(one_line(model), max(room, _NAME))
    lines = [_filled([f"{name}: {shown[0]}", *shown[1:]], width), _filled(counted, width)]
    figure.suptitle(literal("\n".join(lines)), x=0.01, ha="left", fontsize=size, linespacing=1.25)
    figure.set_figheight(figure.get_figheight() + len(lines) * 1.3 * size / 72)
    figure.set_label("; ".join(filter(None, notes)))


def _filled(phrases: Sequence[str], width: int) -> str:
    """The first phrases that fit in a line; of the very first one at least its beginning."""
    line = shortened(phrases[0], width)
    for phrase in phrases[1:]:
        if len(line) + len(phrase) + 2 > width:
            break
        line += f"; {phrase}"
    return line


def setting(window: str, span: str) -> list[str]:
    """What was patched, which positions were compared, how the score reads."""
    return [window_label(window), f"loss over {SPANS[span]}", SCALE]


def setting_in_short(window: str, span: str, scale: str = SCALE) -> list[str]:
    """As `setting`, for the first line above a figure."""
    return [window_label(window).removesuffix(" patched"), SPANS[span], scale]


def uncertainty(
    panels: MethodPanels, singles: str = "thin lines: single concepts", intervals: str = BANDS
) -> list[str]:
    """Words on single concepts and on intervals, where they are drawn."""
    has_intervals = len(panels.singles) < len(panels.rows)
    return [singles if panels.singles else "", intervals if has_intervals else ""]


def in_short(phrases: Iterable[str]) -> list[str]:
    """Phrases of `uncertainty`, for the second line above a figure."""
    return [_SHORT.get(phrase, phrase) for phrase in phrases]


def counted_in_short(curves: pd.DataFrame) -> str:
    """As `counted`, for the second line above a figure: ranges over all origins."""
    each = curves[curves["method"] != ALL_METHODS]
    methods = each.groupby("origin")["method"].nunique()
    concepts, questions = spread(each["concepts"], "concept"), spread(each["questions"], "question")
    of_each = " each" if methods.max() > 1 else ""
    by_origin = ", by origin" if len(methods) > 1 else ""
    return f"n = {spread(methods, 'method')}, {concepts}, {questions}{of_each}{by_origin}"


def counted(curves: pd.DataFrame) -> list[str]:
    """How many methods, concepts and questions stand behind rows of curves.csv, per origin."""
    each = curves[curves["method"] != ALL_METHODS]
    several = each["origin"].nunique() > 1
    return [
        (f"{origin}: " if several else "") + _counted(part)
        for origin, part in each.groupby("origin", sort=True)
    ]


def having(methods: int) -> str:
    """How a phrase on what each of some methods has begins."""
    return "with" if methods == 1 else "each with"


def _counted(each: pd.DataFrame) -> str:
    number = each["method"].nunique()
    concepts, questions = spread(each["concepts"], "concept"), spread(each["questions"], "question")
    null = each.groupby("method")["null"].max()
    without = f" ({_range(null)} more without a value)" if null.any() else ""
    methods = spread(pd.Series([number]), "method")
    return f"n = {methods}, {having(number)} {concepts}{_uneven(each)} and {questions}{without}"


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
    above = shown[shown > highest_shown(shown, style)]
    if above.empty:
        return ""
    return f"{len(above)} above the axis, the highest at {signed(above.max())}"


def signed(number: float) -> str:
    """A number in words, with a true minus sign."""
    return f"{number:.3g}".replace("-", "\N{MINUS SIGN}")
