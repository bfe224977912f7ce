"""The words of a figure: two lines above it; all of them are saved with it and in the report."""

from collections.abc import Iterable, Sequence

import pandas as pd
from matplotlib.figure import Figure

from stillknows.analysis.curve_groups import ALL_METHODS
from stillknows.figures.canvas import MethodPanels, highest_shown
from stillknows.figures.names import literal, one_line, shortened
from stillknows.figures.style import SPANS, Style, window_label

SCALE = "1 = the original's logits, 0 = the unlearned model's"
AVERAGED = "mean over questions, then concepts"
SMALL = "small: single concepts"
LARGE = "large: means"
BARS = "bars: 95 % intervals"
BANDS = "bands: 95 % intervals"
_NAME = 12  # characters that a model's name has at least


def heading(
    figure: Figure, model: str, shown: Iterable[str], counted: Iterable[str], style: Style
) -> None:
    """Two lines above a figure, as wide as it; all phrases become its label.

    `canvas.save` puts the label into the file, and the report shows it under the figure. The figure
    grows by the height of the lines, so that the panels keep their height.

    Args:
        shown: what is shown, for the line that begins with the model's name.
        counted: of how many, and what bands and marks are, for the second line.
    """
    size = 7 * style.font_scale
    width = int(figure.get_figwidth() * 72 / (0.56 * size))
    shown, counted = ([*filter(None, phrases)] for phrases in (shown, counted))
    figure.set_label("; ".join([*shown, *counted]))
    room = width - sum(map(len, shown[:1])) - 2
    name = shortened(one_line(model), max(room, _NAME))
    lines = [_filled([f"{name}: {shown[0]}", *shown[1:]], width), _filled(counted, width)]
    figure.suptitle(literal("\n".join(lines)), x=0.01, ha="left", fontsize=size, linespacing=1.25)
    figure.set_figheight(figure.get_figheight() + len(lines) * 1.3 * size / 72)


def title(
    figure: Figure,
    model: str,
    shown: Iterable[str],
    counted: Iterable[str],
    notes: Iterable[str],
    style: Style,
) -> None:
    """As `heading`, but with other notes than its phrases."""
    heading(figure, model, shown, counted, style)
    figure.set_label("; ".join(filter(None, notes)))


def _filled(phrases: Sequence[str], width: int) -> str:
    """The first phrases that fit in a line; of the very first one at least its beginning."""
    line = shortened(phrases[0], width)
    for phrase in phrases[1:]:
        if len(line) + len(phrase) + 2 > width:
            break
        line += f"; {phrase}"
    return line


def setting(window: str, span: str, scale: str = SCALE) -> list[str]:
    """What was patched, which positions were compared, how the score reads."""
    return [window_label(window).removesuffix(" patched"), SPANS[span], scale]


def uncertainty(
    panels: MethodPanels, singles: str = "thin lines: single concepts", intervals: str = BANDS
) -> list[str]:
    """Words on single concepts and on intervals, where they are drawn."""
    has_intervals = len(panels.singles) < len(panels.rows)
    return [singles if panels.singles else "", intervals if has_intervals else ""]


def counted(curves: pd.DataFrame) -> list[str]:
    """How many methods, concepts and questions stand behind rows of curves.csv; by origin."""
    each = curves[curves["method"] != ALL_METHODS]
    by_origin = [f"{origin}: {_counted(part)}" for origin, part in each.groupby("origin")]
    null = each["null"].max()
    without = f"at most {spread(pd.Series([null]), 'question')} without a value" if null else ""
    if len(by_origin) == 1:
        return [_counted(each), without]
    return [f"{_counted(each)}, by origin", *by_origin, without]


def _counted(each: pd.DataFrame) -> str:
    methods = each.groupby("origin")["method"].nunique()
    counts = [spread(methods, "method")]
    counts += [spread(each[f"{noun}s"], noun) for noun in ("concept", "question")]
    return f"n = {', '.join(counts)}{' each' if methods.max() > 1 else ''}"


def spread(values: "pd.Series[int]", noun: str) -> str:
    """A count in words: `10 concepts`, or `9-10 concepts` where it is not the same everywhere."""
    low, high = int(values.min()), int(values.max())
    numbers = f"{low}" if low == high else f"{low}\N{EN DASH}{high}"
    return f"{numbers} {noun}{'' if high == 1 else 's'}"


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
