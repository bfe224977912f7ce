"""Whether the palettes of a config exist, before anything is drawn."""

import difflib

from dissect.errors import DissectError
from dissect.figures.style import Style


def check_palettes(palette: str, heatmap_palette: str) -> None:
    """Refuse palettes that do not exist. The defaults do; for others seaborn is imported (2 s).

    Args:
        palette: the curves' palette: any that seaborn.color_palette takes.
        heatmap_palette: a colour map, by its name in matplotlib once seaborn has added its own.

    Raises:
        DissectError: naming the config's key.
    """
    if (palette, heatmap_palette) == (Style().palette, Style().heatmap_palette):
        return
    import matplotlib as mpl
    import seaborn as sns

    try:
        sns.color_palette(palette, 2)
    except Exception as error:  # seaborn parses the name: "ch:...", "light:...", "blend:..."
        palettes = [*sns.palettes.SEABORN_PALETTES, *mpl.colormaps]
        raise DissectError(_unknown("palette", palette, palettes, "colorblind")) from error
    if heatmap_palette not in mpl.colormaps:
        raise DissectError(
            _unknown("heatmap_palette", heatmap_palette, list(mpl.colormaps), "vlag_r")
        )


def _unknown(key: str, name: str, names: list[str], default: str) -> str:
    near = difflib.get_close_matches(name[:80], names, n=1) or [default]
    return (
        f"config: figures.style.{key}: {name[:80]!r} is no palette of seaborn or matplotlib; "
        f"give one of theirs, such as {near[0]}"
    )
