"""The study's own figures, embedded, each with its caption."""

import base64
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from jinja2 import Environment, StrictUndefined
from jinja2.exceptions import UndefinedError

from dissect.errors import DissectError
from dissect.figures.registry import FIGURES
from dissect.report.formatting import setting
from dissect.report.sources import Shown

# A figure of 7 inches with text of 7 points is easily read at this size.
_PIXELS_PER_INCH = 125


@dataclass(frozen=True)
class Picture:
    """One figure.

    `width` and `height` are the PNG's pixels, `shown` how many CSS pixels wide it is at most;
    `leading`: shown without a click.
    """

    id: str
    model: str
    title: str
    setting: str
    caption: list[str]
    uri: str
    width: int
    height: int
    shown: int
    leading: bool

    @property
    def alt(self) -> str:
        """What it is, for those who do not see it; the caption beside it says the rest."""
        return f"{self.title}: {self.model}" + (f", {self.setting}" if self.setting else "")


def pictures(
    files: Sequence[Path], captions: Mapping[str, Path], shown: Shown, dpi: int
) -> list[Picture]:
    """The PNG figures, in the order given.

    Args:
        files: <results>/figures/{model}/{figure}.{...}.png.
        captions: figure -> its caption's template, the same that Snakemake's own report reads.
        dpi: of the files.

    Raises:
        DissectError: for a caption that asks for what its figure does not have.
    """
    return [_picture(path, captions, shown, dpi) for path in files]


def _picture(path: Path, captions: Mapping[str, Path], shown: Shown, dpi: int) -> Picture:
    figure, *parts = path.stem.split(".")
    spec = FIGURES[figure]
    wildcards = {"model": path.parent.name, **dict(zip(spec.parts, parts, strict=True))}
    data = path.read_bytes()
    width, height = struct.unpack(">II", data[16:24])  # of a PNG's first chunk
    return Picture(
        id="figure-" + "-".join([wildcards["model"], figure, *parts]),
        model=wildcards["model"],
        title=spec.title,
        setting=setting(wildcards.get("window"), wildcards.get("span"), wildcards.get("score")),
        caption=_caption(captions[figure], wildcards),
        uri=png_uri(data),
        width=width,
        height=height,
        shown=round(width / dpi * _PIXELS_PER_INCH),
        leading=_is_leading(wildcards, shown),
    )


def _is_leading(wildcards: Mapping[str, str], shown: Shown) -> bool:
    firsts = {"window": shown.windows[0], "span": shown.spans[0], "score": shown.scores[0]}
    return all(wildcards.get(kind, first) == first for kind, first in firsts.items())


def _caption(template: Path, wildcards: Mapping[str, Any]) -> list[str]:
    """The caption's sentences, line by line as its file has them."""
    given = SimpleNamespace(wildcards=SimpleNamespace(**wildcards))
    source = Environment(undefined=StrictUndefined).from_string(
        template.read_text(encoding="utf-8")
    )
    try:
        return [line for line in source.render(snakemake=given).splitlines() if line.strip()]
    except UndefinedError as error:
        raise DissectError(f"caption {template}: {error}") from error


def png_uri(data: bytes) -> str:
    """A PNG as an address that needs no file."""
    return f"data:image/png;base64,{base64.b64encode(data).decode()}"


def svg_uri(text: str) -> str:
    """An SVG as an address that needs no file."""
    return f"data:image/svg+xml;base64,{base64.b64encode(text.encode()).decode()}"
