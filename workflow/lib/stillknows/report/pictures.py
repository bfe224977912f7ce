"""The study's own figures, embedded, each with its caption."""

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from jinja2 import Environment, StrictUndefined
from jinja2.exceptions import UndefinedError
from PIL import Image

from stillknows.errors import StudyError
from stillknows.figures.canvas import NOTES
from stillknows.figures.registry import FIGURES
from stillknows.report.formatting import setting
from stillknows.report.sources import Shown

# A figure of 7 inches with text of 7 points is easily read at this size.
_PIXELS_PER_INCH = 125


def pictures(
    files: Sequence[Path], captions: Mapping[str, Path], shown: Shown, dpi: int
) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """The PNG figures, in the order given, per model: `leading` ones, and `others`.

    Leading are those of the first window, span and score, which are seen without a click.

    Args:
        files: <results>/figures/{model}/{figure}.{...}.png.
        captions: figure -> its caption's template, the same that Snakemake's own report reads.
        dpi: of the files.

    Raises:
        StudyError: for a caption that asks for what its figure does not have.
    """
    firsts = {"window": shown.windows[0], "span": shown.spans[0], "score": shown.scores[0]}
    by_model: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for path in files:
        figure, *parts = path.stem.split(".")
        selection = dict(zip(FIGURES[figure].parts, parts, strict=True))
        is_leading = all(firsts.get(part, name) == name for part, name in selection.items())
        model = by_model.setdefault(path.parent.name, {"leading": [], "others": []})
        picture = _picture(path, figure, selection, captions[figure], dpi)
        model["leading" if is_leading else "others"].append(picture)
    return by_model


def split(
    by_model: Mapping[str, Mapping[str, list[dict[str, Any]]]], figures: Sequence[str]
) -> tuple[list[dict[str, Any]], dict[str, dict[str, list[dict[str, Any]]]]]:
    """The leading pictures of some figures, and what `pictures` returned without them."""
    chosen, rest = [], {}
    for model, both in by_model.items():
        chosen += [one for one in both["leading"] if one["figure"] in figures]
        others = [one for one in both["leading"] if one["figure"] not in figures]
        rest[model] = {**both, "leading": others}
    return chosen, rest


def _picture(
    path: Path, figure: str, selection: Mapping[str, str], caption: Path, dpi: int
) -> dict[str, Any]:
    """What the page says of a figure.

    `width` and `height` are the PNG's pixels, `shown` how many CSS pixels wide it is at most;
    `notes` are those that the file holds.
    """
    model, title = path.parent.name, FIGURES[figure].title
    with Image.open(path) as image:
        (width, height), notes = image.size, image.info.get(NOTES, "")
    what = setting(*(selection.get(part) for part in ("window", "span", "score")))
    return {
        "id": "-".join(["figure", model, figure, *selection.values()]),
        "figure": figure,
        "title": title,
        "alt": f"{title}: {', '.join(filter(None, (model, what)))}",
        "caption": _caption(caption, {"model": model, **selection}),
        "notes": notes,
        "uri": data_uri("png", path.read_bytes()),
        "width": width,
        "height": height,
        "shown": round(width / dpi * _PIXELS_PER_INCH),
    }


def _caption(template: Path, wildcards: Mapping[str, str]) -> list[str]:
    """The caption's sentences, line by line as its file has them."""
    text = template.read_text(encoding="utf-8")
    source = Environment(undefined=StrictUndefined).from_string(text)
    given = SimpleNamespace(wildcards=SimpleNamespace(**wildcards))
    try:
        return [line for line in source.render(snakemake=given).splitlines() if line.strip()]
    except UndefinedError as error:
        raise StudyError(f"caption {template}: {error}") from error


def data_uri(kind: str, data: bytes) -> str:
    """A picture (png, svg+xml) as an address that needs no file."""
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
