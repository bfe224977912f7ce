"""A section per concept: its curve, its questions, what the models answer; and all figures."""

import base64
from collections.abc import Iterator, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import matplotlib as mpl
import pandas as pd
from jinja2 import StrictUndefined, Template
from PIL import Image

from stillknows.analysis.tables import DONOR
from stillknows.figures import canvas
from stillknows.figures.canvas import NOTES
from stillknows.figures.names import FONT_FAMILY
from stillknows.figures.registry import FIGURES
from stillknows.figures.style import Style, in_order
from stillknows.report.sources import DASH, Shown, Sources, highest, name_of, records, setting
from stillknows.terms import COMPLETION, TARGET, UNRELATED

# A figure of 7 inches with text of 7 points is easily read at this size.
_PIXELS_PER_INCH = 125


def pictures(
    files: Sequence[Path], captions: Mapping[str, Path], shown: Shown | None, dpi: int
) -> list[dict[str, Any]]:
    """The PNG figures <results>/figures/{model}/{figure}.{...}.png, in the order given.

    Args:
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
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


# Set -> the concept file's key of its questions, and how many of them are shown per concept.
_SETS = {
    TARGET: ("QA", None),
    COMPLETION: ("text_completion", None),
    UNRELATED: ("unrelated_QA", 10),
}
_CHART_INCHES = (3.7, 2.2)
_LARGER = 1.2  # than the figures' text, which is read on paper
# Text stays text, in any font without serifs; ids follow from the chart, not from chance.
_SVG: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "still",
    "font.family": [FONT_FAMILY, "sans-serif"],
}


def concept_sections(sources: Sources, shown: Shown, style: Style) -> list[dict[str, Any]]:
    """Per concept: names, peaks, charts (method and uri), question sets, original's answers."""
    scores = shown.leading(sources.scores)
    scores = scores[scores["donor"] == DONOR]
    lowest = canvas.lowest_shown(scores["value"], style)
    answers = sources.table("answers.parquet")
    sections = []
    for key, rows in scores.groupby(["model", "concept", "concept_name"]):
        model, concept, name = map(str, key)
        text = sources.texts.get((model, concept), {})
        sets = []
        if answers is not None:
            is_here = (answers["model"] == model) & (answers["concept"] == concept)
            sets = list(_question_sets(answers[is_here], text))
        several = rows.groupby("method")["origin"].transform("nunique") > 1
        titles = rows["method"].where(~several, rows["method"] + ", " + rows["origin"])
        charts = [
            {"method": title, "uri": data_uri("svg+xml", _chart(curves, lowest, style))}
            for title, curves in rows.groupby(titles)
        ]
        sections.append(
            {
                "model": model,
                "concept": concept,
                "name": name,
                "peaks": _peaks(rows),
                "charts": charts,
                "sets": sets,
                "texts": [] if sets else text.get("QA_with_answers") or text.get("QA") or [],
            }
        )
    return sections


def _peaks(scores: pd.DataFrame) -> pd.DataFrame:
    """By experiment (rows) and method (columns), the highest score and where that lies."""
    best = highest(scores, "value", ["experiment", "method"])
    table = best.pivot(index="experiment", columns="method", values="where")
    experiments, methods = in_order(scores["experiment"]), sorted(scores["method"].unique())
    table = table.reindex(index=experiments, columns=methods).fillna(DASH)
    return table.rename(index=name_of).rename_axis("highest score").reset_index()


def _chart(scores: pd.DataFrame, lowest: float, style: Style) -> bytes:
    """The curves of one concept and method as SVG; the axis of scores begins at `lowest`."""
    larger = style.model_copy(update={"font_scale": _LARGER * style.font_scale})
    with canvas.applied(larger), mpl.rc_context(_SVG):
        figure, ((axes,),) = canvas.new_grid(_CHART_INCHES, 1, 1)
        for name, line_style in canvas.experiment_styles(style, scores["experiment"]).items():
            curve = scores[scores["experiment"] == name]
            canvas.add_line(axes, curve, "value", **line_style)
        canvas.zero_line(axes)
        canvas.layer_ticks(axes)
        axes.set(xlabel="layer (from 0)", ylabel="score", ylim=(lowest, canvas.TOP))
        drawn = BytesIO()
        figure.savefig(drawn, format="svg", metadata={"Date": None, "Creator": None})
    return drawn.getvalue()


def _question_sets(answers: pd.DataFrame, text: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Per set, its questions and how many are left out; `answers` are of one model and concept."""
    keys = ["method", "experiment", "first_layer", "last_layer"]
    answers = answers.fillna({"experiment": ""}).sort_values(keys, na_position="first")
    for name, (key, most) in _SETS.items():
        groups = list(answers[answers["set"] == name].groupby("question"))
        wordings: dict[Any, Any] = dict(enumerate(text.get(key) or []))
        questions = []
        for question, rows in groups[:most]:
            first, *_ = given = records(rows)
            wording = wordings.get(question, first["prompt"])
            if isinstance(wording, Mapping):  # a text to be completed
                wording = f"{wording['First_half']} …"
            questions.append(
                {
                    "text": wording,
                    "original": first["answer_original"],
                    "answers": [row for row in given if not row["experiment"]],
                    "patched": [row for row in given if row["experiment"]],
                }
            )
        if questions:
            left_out = len(groups) - len(questions)
            yield {"name": name, "questions": questions, "left_out": left_out}
