"""What models answer to a few questions for facts, side by side."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from stillknows.answers.recall_settings import HELD_OUT
from stillknows.report.formatting import NONE
from stillknows.report.sources import Sources, records
from stillknows.terms import AS_IT_IS

MOST_QUESTIONS = 3
LONGEST = 120  # characters of an answer that are shown
MARKS = {True: "●", False: "○"}  # whether an answer has the fact

_QUESTION = ["concept", "question"]


def answer_table(sources: Sources, model: str, names: Mapping[str, str]) -> dict[str, Any] | None:
    """A few questions in held-out wordings, and what each model answers before relearning.

    Args:
        names: method -> what the page calls it, in the order of the rows.

    Returns:
        asked: how many questions were asked; questions: text and fact of those shown; rows: name,
        and a cell per question; is_shortened: whether any answer is. None if none was asked.
    """
    if model not in sources.recall:
        return None
    answers = _first_wordings(sources.recall[model], names)
    asked = answers.drop_duplicates(_QUESTION).sort_values(_QUESTION)
    if asked.empty:
        return None
    shown = records(_evenly_spread(asked))
    by_key = {(one["method"], one["concept"], one["question"]): one for one in records(answers)}
    cells = {
        method: [_cell(by_key.get((method, one["concept"], one["question"]))) for one in shown]
        for method in names
    }
    return {
        "asked": len(asked),
        "questions": [
            {"text": _wording(one, sources.texts.get((model, one["concept"]), {}))}
            | {"fact": one["fact"]}
            for one in shown
        ],
        "rows": [{"name": name, "cells": cells[method]} for method, name in names.items()],
        "is_shortened": any(cell["whole"] for row in cells.values() for cell in row),
    }


def _first_wordings(recall: pd.DataFrame, methods: Mapping[str, str]) -> pd.DataFrame:
    """The answers of these methods as they are, to the first held-out wording of each question."""
    is_shown = (recall["stage"] == AS_IT_IS) & (recall["wording"] == HELD_OUT)
    rows = recall[is_shown & recall["method"].isin([*methods])]
    return rows.drop_duplicates(["method", *_QUESTION])


def _evenly_spread(rows: pd.DataFrame) -> pd.DataFrame:
    """The first row, and others at equal distances; all rows where these are few."""
    count = min(MOST_QUESTIONS, len(rows))
    return rows.iloc[[i * len(rows) // count for i in range(count)]]


def _wording(question: Mapping[str, Any], text: Mapping[str, Any]) -> str:
    """The question without the prompt around it; with it, if the concept's JSON lacks it."""
    wordings = [one for each in text.get("held_out_paraphrases") or () for one in each]
    prompt: str = question["prompt"]
    return max((one for one in wordings if one.strip() in prompt), key=len, default=prompt)


def _cell(answer: Mapping[str, Any] | None) -> dict[str, str]:
    """An answer on one line, its mark, and the whole answer if it is shortened."""
    if answer is None:
        return {"text": NONE, "mark": "", "whole": ""}
    text = " ".join(answer["answer"].split()) or "(no text)"
    is_long = len(text) > LONGEST
    return {
        "text": f"{text[:LONGEST].rstrip()}…" if is_long else text,
        "mark": MARKS[bool(answer["has_fact"])],
        "whole": answer["answer"].strip() if is_long else "",
    }
