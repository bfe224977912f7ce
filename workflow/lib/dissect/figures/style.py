"""How figures look and what things are called in them; light enough for the config to import."""

from collections.abc import Iterable

from pydantic import Field

from dissect.errors import DissectError
from dissect.study.section import Section
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


class Style(Section):
    """How figures look. Changing it redraws figures and computes nothing else."""

    palette: str = Field(
        default="colorblind", description="A seaborn palette, one colour per experiment."
    )
    heatmap_palette: str = Field(
        default="vlag_r", description="A diverging seaborn palette; its middle is KRS 0."
    )
    font_scale: float = Field(
        default=1.0,
        ge=0.1,
        le=10,
        description="Multiplies the text's sizes (labels 8 pt, all else 7 pt).",
    )
    width: float = Field(
        default=7.0,
        ge=2,
        le=20,
        description="Width of a full figure, in inches; a single panel takes half of it.",
    )
    panel_height: float = Field(
        default=2.2, ge=1, le=6, description="Height of one panel of curves, in inches."
    )
    krs_floor: float = Field(
        default=-1.0,
        ge=-1000,
        le=-0.01,
        description="Where axes and colours are cut below: KRS has no lower bound.",
    )
    dpi: int = Field(default=200, ge=30, le=1200, description="Dots per inch of the PNG files.")


def in_order(experiments: Iterable[str]) -> list[str]:
    """Experiments as the paper lists them, then any others by name."""
    present = set(experiments)
    return [name for name in EXPERIMENTS if name in present] + sorted(present - set(EXPERIMENTS))


def label_of(experiment: str) -> str:
    """What a figure calls an experiment."""
    return EXPERIMENTS[experiment][0] if experiment in EXPERIMENTS else experiment


def looks_of(
    experiments: Iterable[str],
) -> tuple[dict[str, int], dict[str, str], dict[str, tuple[float, ...]]]:
    """Per experiment: its index in the palette, its marker, its dashes; the same in every figure.

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
    numbers = {name: number for number, name in enumerate(looks)}
    markers = {name: marker for name, (marker, _) in looks.items()}
    return numbers, markers, {name: dashes for name, (_, dashes) in looks.items()}


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
