"""Whether the palettes of a config exist, before anything is drawn."""

from dissect.errors import DissectError
from dissect.figures.style import Style


def check_palettes(style: Style) -> None:
    """Refuse palettes that do not exist. The defaults do; for others seaborn is imported (2 s).

    Raises:
        DissectError: naming the config's key.
    """
    default = Style()
    if (style.palette, style.heatmap_palette) == (default.palette, default.heatmap_palette):
        return
    import matplotlib as mpl
    import seaborn as sns

    try:
        sns.color_palette(style.palette, 2)
    except Exception as error:  # seaborn parses the name: "ch:...", "light:...", "blend:..."
        raise _unknown("palette", style.palette, default.palette) from error
    if style.heatmap_palette not in mpl.colormaps:  # seaborn has added its own
        raise _unknown("heatmap_palette", style.heatmap_palette, default.heatmap_palette)


def _unknown(key: str, name: str, default: str) -> DissectError:
    return DissectError(
        f"config: figures.style.{key}: {name[:80]!r} is no palette of seaborn or matplotlib; "
        f"give one of theirs, such as {default}"
    )
