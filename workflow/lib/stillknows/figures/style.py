"""How figures look and what things are called in them; light enough for the config to import."""

from collections.abc import Iterable
from typing import NamedTuple

from pydantic import Field

from stillknows import terms
from stillknows.config_section import Section
from stillknows.engine.windows import PREFIX, SUFFIX, window_width
from stillknows.errors import StudyError


class Look(NamedTuple):
    """How a curve is drawn. Markers and dashes differ too, so that nobody needs the colours.

    colour: its index in the palette; None: black. dashes: on, off, ... in line widths; () is solid.
    """

    label: str
    colour: int | None
    marker: str
    dashes: tuple[float, ...] = ()


# The paper's four in its order. Weights have the colour of the activations that they make; the same
# components of the copy, patched into the original, look the same.
_COMPONENTS = {
    terms.MLP_COEFFICIENTS: Look("MLP coefficients", 0, "o"),
    terms.ATTENTION: Look("attention output", 1, "s", (4, 1.5)),
    terms.BOTH: Look("coefficients + attention", 2, "^"),
    terms.VALUE_VECTORS: Look("value vectors", 3, "X", (1, 1)),
    terms.ATTENTION_WEIGHTS: Look("attention weights", 1, ">", (2, 1)),
    terms.GATE_AND_UP_WEIGHTS: Look("gate and up weights", 0, "v", (6, 1)),
    terms.LAYER_WEIGHTS: Look("attention and MLP weights", 2, "d", (5, 1, 1, 1)),
    terms.ALL_WEIGHTS: Look("all weights", None, "<", (1, 2)),
    "residual": Look("residual stream", 3, "D", (3, 1, 1, 1)),
}
EXPERIMENTS = {name: _COMPONENTS[name.removeprefix("noising_")] for name in terms.EXPERIMENTS}
COLOURS = len(terms.PAPER_EXPERIMENTS)  # of the palette, for experiments
SCORES = {terms.KRS: "Knowledge Recovery Score", terms.KRS_OF_MEANS: "KRS of the mean losses"}
SHORT_SCORES = {terms.KRS: "KRS", terms.KRS_OF_MEANS: "KRS of means"}
SPANS = {
    terms.NOTEBOOK: "the notebook's span",
    terms.ANSWER: "the answer's span",
    terms.FACT: "the fact's span",
}
# Kind of window -> on which side of a layer its others are; which of its layers it is drawn at.
_BESIDE = {SUFFIX: ("after", "first"), PREFIX: ("before", "last")}


class Style(Section):
    """How figures look."""

    palette: str = "colorblind"
    """A seaborn palette, one colour per experiment."""
    heatmap_palette: str = "vlag_r"
    """A diverging seaborn palette; its middle is KRS 0."""
    font_scale: float = Field(default=1.0, ge=0.1, le=10)
    """Multiplies all text sizes (labels 8 pt, all else 7 pt)."""
    width: float = Field(default=7.0, ge=2, le=20)
    """Width of a full figure, in inches; a single panel takes half of it."""
    panel_height: float = Field(default=2.2, ge=1, le=6)
    """Height of one panel of curves, in inches."""
    krs_minimum: float = Field(default=-1.0, ge=-1000, le=-0.01)
    """The lower end of axes and colours: KRS has no lower bound."""
    dpi: int = Field(default=200, ge=30, le=1200)
    """Dots per inch of the PNG files."""


def check_palettes(style: Style) -> None:
    """Refuse palettes that do not exist; for others than the defaults seaborn is imported (2 s)."""
    default = Style()
    if (style.palette, style.heatmap_palette) == (default.palette, default.heatmap_palette):
        return
    import matplotlib as mpl
    import seaborn as sns

    # seaborn parses the name: "ch:...", "light:...", "blend:..."; its maps are among matplotlib's.
    look_ups = {"palette": sns.color_palette, "heatmap_palette": mpl.colormaps.__getitem__}
    for key, look_up in look_ups.items():
        name = getattr(style, key)
        try:
            look_up(name)
        except Exception as error:
            raise StudyError(
                f"config: figures.style.{key}: {name[:80]!r} is not a palette of seaborn or "
                f"matplotlib; give one of theirs, such as {getattr(default, key)}"
            ) from error


def in_order(experiments: Iterable[str]) -> list[str]:
    """Experiments in the order in which they are shown, the paper's first."""
    present = set(experiments)
    return [name for name in EXPERIMENTS if name in present]


def window_label(window: str) -> str:
    """What is patched at each point of a curve."""
    width = window_width(window)
    if width is None:
        return f"each layer and all {_BESIDE[window][0]} it patched"
    return f"windows of {width} layers patched" if width > 1 else "single layers patched"


def layer_label(window: str) -> str:
    """What the layer axis counts."""
    width = window_width(window)
    if width is None:
        return f"{_BESIDE[window][1]} layer patched (from 0)"
    return "layer (centre of the window, from 0)" if width > 1 else "layer (from 0)"
