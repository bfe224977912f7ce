"""A section per concept: its curve, its questions, and what the models answer."""

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from stillknows.analysis.curve_groups import DONOR
from stillknows.figures.canvas import lowest_shown
from stillknows.figures.style import Style, in_order
from stillknows.report.charts import svg
from stillknows.report.formatting import DASH, name_of, number
from stillknows.report.pictures import data_uri
from stillknows.report.sources import Shown, Sources, highest, records

# Set -> its title, and the concept file's key of what is asked.
SETS = {
    "target": ("Questions on the concept", "QA"),
    "completion": ("Texts on the concept, to be completed", "text_completion"),
    "unrelated": ("Unrelated questions", "unrelated_QA"),
}
MOST_UNRELATED = 10  # per concept; the rest lies in the table


def concept_sections(sources: Sources, shown: Shown, style: Style) -> list[dict[str, Any]]:
    """The sections, by model and concept.

    Returns:
        per concept: model, concept, name; peaks, as `_peaks` returns them; charts, each
        with method, uri and alt; sets, as `_question_sets` yields them; texts: what the original
        answers, prompt and all, where no behaviour was computed.
    """
    scores = shown.leading(sources.scores)
    scores = scores[scores["donor"] == DONOR]
    lowest = lowest_shown(scores["value"], style)
    keys = ["model", "concept", "concept_name"]
    answers = sources.table("answers.parquet")
    sections = []
    for key, rows in scores.groupby(keys, sort=True):
        model, concept, name = map(str, key)
        text = sources.texts.get((model, concept), {})
        sets = []
        if answers is not None:
            is_here = (answers["model"] == model) & (answers["concept"] == concept)
            sets = list(_question_sets(answers[is_here], text))
        sections.append(
            {
                "model": model,
                "concept": concept,
                "name": name,
                "peaks": _peaks(rows),
                "charts": list(_charts(rows, name, lowest, style)),
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


def _charts(
    scores: pd.DataFrame, name: str, lowest: float, style: Style
) -> Iterator[dict[str, str]]:
    for (method, origin), rows in scores.groupby(["method", "origin"], sort=True):
        several = scores.loc[scores["method"] == method, "origin"].nunique() > 1
        title = f"{method}, {origin}" if several else str(method)
        uri = data_uri("svg+xml", svg(rows, lowest, style))
        alt = f"{name}, {title}: recovery against layer, a curve per experiment"
        yield {"method": title, "uri": uri, "alt": alt}


def _question_sets(answers: pd.DataFrame, text: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The answers on one concept: per set its questions, and how many are left out.

    Args:
        answers: rows of tables/answers.parquet of one model and concept.
        text: the concept's JSON: what was asked, without the prompt around it.
    """
    answers = answers.fillna({"experiment": ""})
    for name, (title, key) in SETS.items():
        groups = dict(list(answers[answers["set"] == name].groupby("question")))
        if not groups:
            continue
        most = MOST_UNRELATED if name == "unrelated" else len(groups)
        asked: dict[Any, Any] = dict(enumerate(text.get(key) or []))
        questions = [
            _question(rows, asked.get(question, rows["prompt"].iloc[0]))
            for question, rows in list(groups.items())[:most]
        ]
        left_out = len(groups) - len(questions)
        yield {"name": name, "title": title, "questions": questions, "left_out": left_out}


def _question(rows: pd.DataFrame, asked: Any) -> dict[str, Any]:
    """A question with the original's answer and those of the unlearned models."""
    if isinstance(asked, Mapping):  # a text to be completed
        asked = f"{asked['First_half']} …"
    keys = ["method", "experiment", "first_layer", "last_layer"]
    answers = records(rows.sort_values(keys, na_position="first"))
    return {
        "text": asked,
        "original": rows["answer_original"].iloc[0],
        "answers": [_answer(row) for row in answers if not row["experiment"]],
        "patched": [_answer(row) for row in answers if row["experiment"]],
    }


def _answer(row: Mapping[str, Any]) -> dict[str, str]:
    """What one model answers, with what was patched, if anything was."""
    who = row["method"]
    if row["experiment"]:
        layers = f"{row['first_layer']:g}{DASH}{row['last_layer']:g}"
        who += f": {name_of(row['experiment'])} patched, layers {layers}"
    likeness = f"BLEU {number(row['bleu'])}, ROUGE-L {number(row['rouge_l'])}"
    return {"who": who, "text": row["answer"], "likeness": likeness}
