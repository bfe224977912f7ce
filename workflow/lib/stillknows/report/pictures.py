"""The study's own figures, embedded, each with its caption."""

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from jinja2 import StrictUndefined, Template
from PIL import Image

from stillknows.figures.canvas import NOTES
from stillknows.figures.registry import FIGURES
from stillknows.report.formatting import setting
from stillknows.report.sources import Shown

# A figure of 7 inches with text of 7 points is easily read at this size.
_PIXELS_PER_INCH = 125


def pictures(
    files: Sequence[Path], captions: Mapping[str, Path], shown: Shown | None, dpi: int
) -> list[dict[str, Any]]:
    """The PNG figures, in the order given.

    Args:
        files: <results>/figures/{model}/{figure}.{...}.png.
        captions: figure -> its caption's template, the same that Snakemake's own report reads.
        dpi: of the files.

    Returns:
        model, figure, id, title, alt and uri; is_leading: whether it is of the first window, span
        and score; caption: its lines; notes: those that the file holds; width and height: the
        PNG's pixels; shown: how many CSS pixels wide it is at most.
    """
    firsts = {}
    if shown:
        firsts = {"window": shown.windows[0], "span": shown.spans[0], "score": shown.scores[0]}
    embedded = []
    for path in files:
        model, (figure, *parts) = path.parent.name, path.stem.split(".")
        selection = dict(zip(FIGURES[figure].parts, parts, strict=True))
        what = setting(*(selection.get(part) for part in ("window", "span", "score")))
        title = FIGURES[figure].title
        with Image.open(path) as image:
            (width, height), notes = image.size, image.info.get(NOTES, "")
        caption = Template(captions[figure].read_text("utf-8"), undefined=StrictUndefined).render(
            snakemake=SimpleNamespace(wildcards={"model": model, **selection})
        )
        embedded.append(
            {
                "model": model,
                "figure": figure,
                "is_leading": all(firsts.get(k, name) == name for k, name in selection.items()),
                "id": "-".join(["figure", model, figure, *parts]),
                "title": title,
                "alt": f"{title}: {', '.join(filter(None, (model, what)))}",
                "caption": [line for line in caption.splitlines() if line.strip()],
                "notes": notes,
                "uri": data_uri("png", path.read_bytes()),
                "width": width,
                "height": height,
                "shown": round(width / dpi * _PIXELS_PER_INCH),
            }
        )
    return embedded


def data_uri(kind: str, data: bytes) -> str:
    """A picture (png, svg+xml) as an address that needs no file."""
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
