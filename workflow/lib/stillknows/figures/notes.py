"""The words of a figure: two lines above it; all of them are saved with it and in the report."""

from collections.abc import Iterable, Sequence

import pandas as pd
from matplotlib.figure import Figure

from stillknows.analysis.bootstrap import MIN_CONCEPTS
from stillknows.analysis.tables import ALL_METHODS
from stillknows.figures.canvas import highest_shown
from stillknows.figures.names import literal, one_line, shortened
from stillknows.figures.style import SPANS, Style, window_label

SCALE = "1 = the original's logits, 0 = the unlearned model's"
BARS = "bars: 95 % intervals"
BANDS = "bands: 95 % intervals"
_NAME = 12  # characters that a model's name has at least


def heading(
    figure: Figure, model: str, shown: Iterable[str], counted: Iterable[str], style: Style
) -> None:
    """Two lines above a figure, as wide as it, for which it grows; all phrases become its label.

    shown: what is shown, for the line that begins with the model's name. counted: of how many, and
    what bands and marks are, for the second line.
    """
    size = 7 * style.font_scale
    width = int(figure.get_figwidth() * 72 / (0.56 * size))
    shown, counted = ([*filter(None, phrases)] for phrases in (shown, counted))
    figure.set_label("; ".join([*shown, *counted]))
    name = shortened(one_line(model), max(width - len(shown[0]) - 2, _NAME))
    lines = [_filled([f"{name}: {shown[0]}", *shown[1:]], width), _filled(counted, width)]
    figure.suptitle(literal("\n".join(lines)), x=0.01, ha="left", fontsize=size, linespacing=1.25)
    figure.set_figheight(figure.get_figheight() + len(lines) * 1.3 * size / 72)


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
    concepts: Iterable[int], singles: str = "thin lines: single concepts", intervals: str = BANDS
) -> list[str]:
    """Words on intervals and on single concepts (`concepts`: how many, by panel), where drawn."""
    has_interval = [count >= MIN_CONCEPTS for count in concepts]
    return ["" if all(has_interval) else singles, intervals if any(has_interval) else ""]


def counted(curves: pd.DataFrame) -> list[str]:
    """How many methods (of one origin), concepts and questions are behind rows of curves.csv."""
    by_method = curves[curves["method"] != ALL_METHODS]
    methods = by_method.groupby("origin")["method"].nunique()
    counts = [spread(methods, "method")]
    counts += [spread(by_method[f"{noun}s"], noun) for noun in ("concept", "question")]
    n = f"n = {', '.join(counts)}{' each' if methods.max() > 1 else ''}"
    null = by_method["null"].max()
    origins = ", by origin" if len(methods) > 1 else ""
    return [n + origins, f"at most {spread([null], 'question')} without a value" if null else ""]


def spread(values: Iterable[int], noun: str = "") -> str:
    """A count in words: `10 concepts`, or `9-10 concepts` where it is not the same everywhere."""
    low, high = min(values), max(values)
    numbers = f"{low}" if low == high else f"{low}\N{EN DASH}{high}"
    return f"{numbers} {noun}{'' if high == 1 else 's'}" if noun else numbers


def outside(shown: "pd.Series[float]", style: Style, what: str = "axis") -> list[str]:
    """Words on values that the axis or the colours do not show."""
    below = shown[shown < style.krs_minimum]
    above = shown[shown > highest_shown(shown, style)]
    ends = (below, "below", "lowest", below.min()), (above, "above", "highest", above.max())
    return [
        f"{len(values)} {side} the {what}, the {end} at {signed(round(value, 2))}"
        for values, side, end, value in ends
        if len(values)
    ]


def signed(number: float) -> str:
    return f"{number:.3g}".replace("-", "\N{MINUS SIGN}")
