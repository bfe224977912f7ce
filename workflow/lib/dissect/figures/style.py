"""How figures look and what things are called in them; light enough for the config to import."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from dissect.errors import DissectError
from dissect.study.windows import window_width

# Experiment -> label, marker, dashes (on, off, ... in line widths; () is solid), so that nobody
# needs the colours.
EXPERIMENTS: dict[str, tuple[str, str, tuple[float, ...]]] = {
    "mlp_coefficients": ("MLP coefficients", "o", ()),
    "attention": ("attention states", "s", (4, 1.5)),
    "mlp_coefficients_and_attention": ("coefficients + attention", "^", ()),
    "value_vectors": ("value vectors", "X", (1, 1)),
}
_SPARE = [("D", (3, 1, 1, 1)), ("v", (5, 1)), ("P", (2, 2)), ("<", (6, 2))]
# Score -> its name on an axis, and on a short one.
SCORES = {
    "krs": ("Knowledge Recovery Score", "KRS"),
    "krs_of_means": ("KRS of the mean losses", "KRS of means"),
}
# Control donor -> label, short label, dashes.
CONTROLS: dict[str, tuple[str, str, tuple[float, ...]]] = {
    "other_question": ("another question's states", "other question", (6, 1.5)),
    "noise": ("noise of the same norm", "noise", (1, 2)),
}
SPANS = {"notebook": "the notebook's span", "answer": "the answer's span"}


@dataclass(frozen=True)
class Style:
    """The `figures.style` section of the config. Lengths in inches, text in points."""

    palette: str = "colorblind"  # seaborn palette, one colour per experiment
    heatmap_palette: str = "vlag_r"  # diverging, its middle is KRS 0
    font_scale: float = 1.0  # 1: labels 8 pt, everything else 7 pt
    width: float = 7.0  # of a full figure; a single panel takes half of it
    panel_height: float = 2.2  # of one panel of curves
    krs_floor: float = -1.0  # axes and colours are cut here: KRS has no lower bound
    dpi: int = 200  # of PNG files

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> "Style":
        """The style with some fields given.

        Raises:
            DissectError: for a field that does not exist.
        """
        known = [field.name for field in fields(cls)]
        unknown = sorted(set(given) - set(known))
        if unknown:
            raise DissectError(
                f"figures.style: {unknown[0]!r} is no field; legal: {', '.join(known)}"
            )
        return cls(**given)


def in_order(experiments: Iterable[str]) -> list[str]:
    """Experiments as the paper lists them, then any others by name."""
    there = set(experiments)
    return [name for name in EXPERIMENTS if name in there] + sorted(there - set(EXPERIMENTS))


def label_of(experiment: str) -> str:
    """What a figure calls an experiment."""
    return EXPERIMENTS[experiment][0] if experiment in EXPERIMENTS else experiment


def looks_of(
    experiments: Iterable[str],
) -> tuple[dict[str, int], dict[str, str], dict[str, tuple[float, ...]]]:
    """Per experiment: its place in the palette, its marker, its dashes; the same in every figure.

    Raises:
        DissectError: for more experiments than can be told apart.
    """
    others = [name for name in in_order(experiments) if name not in EXPERIMENTS]
    if len(others) > len(_SPARE):
        raise DissectError(
            f"{len(others)} experiments beside the paper's four: a figure can tell apart "
            f"{len(_SPARE)} of them; select fewer in config: experiments"
        )
    looks = {name: (marker, dashes) for name, (_, marker, dashes) in EXPERIMENTS.items()}
    looks |= dict(zip(others, _SPARE, strict=False))
    places = {name: place for place, name in enumerate(looks)}
    markers = {name: marker for name, (marker, _) in looks.items()}
    return places, markers, {name: dashes for name, (_, dashes) in looks.items()}


def window_label(window: str) -> str:
    """What is put back at each point of a curve."""
    width = window_width(window)
    if width is None:
        return "each layer and all after it put back"
    return f"windows of {width} layers put back" if width > 1 else "single layers put back"


def layer_label(window: str) -> str:
    """What the layer axis counts."""
    width = window_width(window)
    if width is None:
        return "first layer put back (from 0)"
    return "layer (centre of the window, from 0)" if width > 1 else "layer (from 0)"


def signed(number: float) -> str:
    """A number in words, with a true minus sign."""
    return f"{number:.3g}".replace("-", "\N{MINUS SIGN}")
