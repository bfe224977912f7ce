"""Answers that contain the fact, counted by string match."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from planted_answers import planted_answer
from stillknows.analysis.facts import FACT_COLUMNS, facts_kept, read_facts
from stillknows.errors import StudyError

FACTS = {"tea": {"Where is tea grown?": ["China", "India"], "What is in it?": ["caffeine"]}}
PATCH = {"experiment": "attention", "first_layer": 0, "last_layer": 4}


def answer(question: int, text: str, **more: Any) -> dict[str, Any]:
    """A row of answers.parquet; the original answers both questions right."""
    asked = f"Question: {list(FACTS['tea'])[question]}\n Answer:"
    original = ["In China.", "Caffeine is."][question]
    row = {"question": question, "prompt": asked, "answer_original": original, "answer": text}
    return planted_answer(**row | more)


ANSWERS = [
    answer(0, "In Chinatown."),
    answer(1, "CAFFEINE, mostly."),
    answer(0, "It grows in india", **PATCH),
    answer(1, "Caffeine.", **PATCH),
    answer(0, "China", set="unrelated"),
    answer(0, "China", concept="war"),
]


def test_answers_with_the_fact_are_counted_per_concept_and_patch() -> None:
    found = facts_kept(pd.DataFrame(ANSWERS), FACTS)
    assert list(found.columns) == FACT_COLUMNS
    patched, unpatched = found.to_dict("records")
    assert (patched["experiment"], patched["first_layer"]) == ("attention", 0)
    assert (patched["questions"], patched["original"], patched["kept"]) == (2, 2, 2)
    assert pd.isna(unpatched["experiment"])
    assert (unpatched["questions"], unpatched["original"], unpatched["kept"]) == (2, 2, 1)


@pytest.mark.parametrize("questions", [["Why?", "What is in it?"], ["Where is tea grown?"]])
def test_facts_of_other_questions_are_refused(questions: list[str]) -> None:
    facts = {"tea": {key: ["China"] for key in questions}}
    with pytest.raises(StudyError, match="of tea in the facts file"):
        facts_kept(pd.DataFrame(ANSWERS), facts)


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"tea": []}', '{"tea": {"Why?": "China"}}', '{"tea": {"Why?": []}}']
)
def test_a_broken_facts_file_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "facts.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(StudyError, match=r"facts\.json"):
        read_facts(path)
