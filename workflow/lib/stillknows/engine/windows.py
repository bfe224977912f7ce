"""Windows: the runs of layers in which the original's component is patched."""

import re
from dataclasses import dataclass

from stillknows.errors import StudyError, shortened

# No number has a leading zero: sliding_03 and sliding_3 would be two windows of one width.
_SLIDING = re.compile(r"sliding_([1-9][0-9]{0,3})(?:_every_([1-9][0-9]{0,3}))?")
_BETWEEN = re.compile(r"(0|[1-9][0-9]{0,3})-(0|[1-9][0-9]{0,3})")
SUFFIX, PREFIX = "suffix", "prefix"

LayerRange = tuple[int, int]
"""First and last layer, both included, counted from 0: the key of a window's run."""


@dataclass(frozen=True)
class Window:
    """Layers first..last (inclusive, counted from 0) of one point of a curve."""

    name: str
    layer: int  # where it is drawn: the centre, a suffix's first layer, a prefix's last
    first: int
    last: int


def window_width(name: str) -> int | None:
    """The width in layers that a window's name says; None for suffixes and prefixes."""
    if name in (SUFFIX, PREFIX):
        return None
    match = _SLIDING.fullmatch(name)
    width = int(match.group(1)) if match else 0
    if width % 2 == 0:
        raise StudyError(
            f"windows: {shortened(name)} is not a window; allowed are sliding_<odd width> (the "
            f"paper: sliding_5), sliding_<odd width>_every_<layers>, {SUFFIX}, {PREFIX}; numbers "
            "have no leading zeros"
        )
    return width


def windows_of(names: list[str], layers: int, model: str = "the model") -> list[Window]:
    """Every window of a sweep over a model of so many layers, in the order of `names`.

    sliding_w: for each centre, the layers centre - w//2 .. centre + w//2, clipped at both ends as
    the paper's notebooks clip them (section 3); with _every_k for every k-th centre, counted from
    the last layer. suffix: for each layer, that one and all above; prefix: that one and all below.

    A StudyError for an unknown name, or a window wider than the model (`model` in the message).
    """
    windows = []
    for name in names:
        width, match = window_width(name), _SLIDING.fullmatch(name)
        if name == SUFFIX:
            windows += [Window(name, layer, layer, layers - 1) for layer in range(layers)]
        elif width is None:
            windows += [Window(name, layer, 0, layer) for layer in range(layers)]
        elif width > layers:
            raise StudyError(
                f"windows: {name} is wider than {model}, which has {layers} layers; "
                f"choose a width of at most {layers}"
            )
        else:
            half, step = width // 2, int((match and match.group(2)) or 1)
            windows += [
                Window(name, layer, max(0, layer - half), min(layers - 1, layer + half))
                for layer in range((layers - 1) % step, layers, step)
            ]
    return windows


def layers_between(name: str, layers: int | None = None) -> tuple[int, int]:
    """First and last layer of a window "FIRST-LAST", both below `layers`; else a StudyError."""
    match = _BETWEEN.fullmatch(name)
    first, last = map(int, match.groups()) if match else (1, 0)
    if first > last:
        raise StudyError(
            f"behaviour.patched.windows: {shortened(name)} is not a window; allowed is FIRST-LAST, "
            "two layers counted from 0, both included, such as 13-17"
        )
    if layers is not None and last >= layers:
        raise StudyError(
            f"behaviour.patched.windows: {name} reaches beyond the model, which has {layers} "
            f"layers; the last one is {layers - 1}"
        )
    return first, last
