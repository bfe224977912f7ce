"""Palettes of the config."""

import subprocess
import sys

import pytest

from dissect.errors import DissectError
from dissect.figures.style import Style, check_palettes


@pytest.mark.parametrize("palette", ["colorblind", "Set2", "husl", "ch:s=.25,rot=-.25"])
def test_what_seaborn_knows_passes(palette: str) -> None:
    check_palettes(Style(palette=palette, heatmap_palette="coolwarm"))


@pytest.mark.parametrize(
    ("palette", "heatmap_palette", "said"),
    [
        ("colorblimd", "vlag_r", r"figures\.style\.palette: 'colorblimd' .* such as colorblind"),
        ("", "vlag_r", r"figures\.style\.palette: '' .* such as colorblind"),
        ("ch:hue=x", "vlag_r", r"figures\.style\.palette: 'ch:hue=x' is not a palette"),
        ("jet", "vlag_r", r"figures\.style\.palette: 'jet' is not a palette"),
        ("colorblind", "vlag_q", r"figures\.style\.heatmap_palette: 'vlag_q' .* such as vlag"),
        ("colorblind", "colorblind", r"figures\.style\.heatmap_palette: 'colorblind' is no"),
    ],
)
def test_an_unknown_palette_is_named(palette: str, heatmap_palette: str, said: str) -> None:
    with pytest.raises(DissectError, match=said) as caught:
        check_palettes(Style(palette=palette, heatmap_palette=heatmap_palette))
    assert "\n" not in str(caught.value)


def test_the_defaults_need_no_seaborn() -> None:
    code = (
        "from dissect.figures.style import Style, check_palettes; import sys; "
        "check_palettes(Style()); print({'matplotlib', 'pandas'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
