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

    # seaborn parses the name: "ch:...", "light:...", "blend:..."; its maps are among matplotlib's.
    look_ups = {"palette": sns.color_palette, "heatmap_palette": mpl.colormaps.__getitem__}
    for key, look_up in look_ups.items():
        name = getattr(style, key)
        try:
            look_up(name)
        except Exception as error:
            raise DissectError(
                f"config: figures.style.{key}: {name[:80]!r} is not a palette of seaborn or "
                f"matplotlib; give one of theirs, such as {getattr(default, key)}"
            ) from error
