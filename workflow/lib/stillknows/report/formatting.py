"""How the page formats numbers, names and settings."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

from stillknows.figures.style import EXPERIMENTS, SHORT_SCORES, SPANS, window_label

MINUS, DASH = "\N{MINUS SIGN}", "\N{EN DASH}"
NONE = DASH  # where there is no number


def number(value: float, decimals: int = 2) -> str:
    """A number with a true minus sign; a dash where there is none."""
    if value is None or math.isnan(value):
        return NONE
    text = f"{value:.{decimals}f}"
    zero = not text.strip("-0.")
    return text.lstrip("-") if zero else text.replace("-", MINUS)


def with_interval(row: Mapping[str, Any], name: str = "value") -> str:
    """A number of a table and its interval, if it has one: value, low, high or x, x_low, x_high."""
    prefix = "" if name == "value" else f"{name}_"
    low, high = (row.get(f"{prefix}{end}", math.nan) for end in ("low", "high"))
    if math.isnan(low) or math.isnan(high):
        return number(row[name])
    return f"{number(row[name])} [{number(low)}, {number(high)}]"


def share(row: Mapping[str, Any], count: str, total: str) -> str:
    """k of n, from two columns; empty where it is not defined."""
    return "" if math.isnan(row[count]) else f"{row[count]:g} of {row[total]:g}"


def listed(names: Iterable[str]) -> str:
    """a; a and b; a, b and c."""
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last


def counted(count: float, one: str, many: str = "") -> str:
    """1 concept, 2 concepts."""
    return f"{count:g} {one if count == 1 else many or one + 's'}"


def name_of(value: Any) -> str:
    """What the page calls an experiment, a span or a score; other names stay as they are."""
    if value in EXPERIMENTS:
        return EXPERIMENTS[value].label
    return str(SPANS.get(value) or SHORT_SCORES.get(value, value))


def setting(window: str | None, span: str | None, score: str | None) -> str:
    """What a figure or a chart shows, in words; what does not apply is left out."""
    parts = [
        window and window_label(window),
        span and f"loss over {SPANS[span]}",
        score and SHORT_SCORES[score],
    ]
    return ", ".join(filter(None, parts))
