"""What models answer, side by side on the page: which questions, and which answers to them."""

from typing import Any

import pandas as pd
import pytest

from dissect.report.answers import LONGEST, answer_table
from dissect.report.formatting import DASH
from dissect.report.sources import Sources
from dissect.terms import ORIGINAL, RELEARNED
from planted_recall import answer_of, planted_recall, prompt_of, wordings_of

KNOWN = {"hide": "000000100", ORIGINAL: "111111111", "never": "000000000", "other": "111111111"}
NAMES = {ORIGINAL: "the original", "never": "never", "hide": "hide"}


def table(rows: pd.DataFrame, text: dict[str, Any] | None = None) -> dict[str, Any] | None:
    texts = {} if text is None else {("seed", "tea"): text}
    return answer_table(Sources({}, {}, pd.DataFrame(), texts, {}, {"seed": rows}), "seed", NAMES)


def planted(questions: int = 9) -> pd.DataFrame:
    known = {method: facts[:questions] for method, facts in KNOWN.items()}
    return planted_recall(known, "seed")


def test_the_first_held_out_wording_is_shown_as_it_is_answered_before_relearning() -> None:
    found = table(planted(), {"held_out_paraphrases": [wordings_of(n) for n in range(9)]})
    assert found is not None
    assert found["questions"] == [
        {"text": prompt_of(number, "first"), "fact": f"fact {number}"} for number in (0, 3, 6)
    ]
    assert {row["name"]: row["cells"] for row in found["rows"]} == {
        name: [
            {"text": answer_of(method, number), "mark": mark, "whole": ""}
            for number, mark in zip((0, 3, 6), marks, strict=True)
        ]
        for (method, name), marks in zip(NAMES.items(), ("●●●", "○○○", "○○●"), strict=True)
    }
    assert [row["name"] for row in found["rows"]] == [*NAMES.values()]


@pytest.mark.parametrize(
    ("questions", "shown"), [(1, [0]), (2, [0, 1]), (3, [0, 1, 2]), (4, [0, 1, 2]), (8, [0, 2, 5])]
)
def test_questions_are_evenly_spread_whatever_the_answers(questions: int, shown: list[int]) -> None:
    # Nor does their order in the files matter.
    for rows in (planted(questions), planted(questions).iloc[::-1].assign(has_fact=True)):
        found = table(rows)
        assert found is not None and found["asked"] == questions
        assert [one["fact"] for one in found["questions"]] == [f"fact {number}" for number in shown]


def test_without_the_concepts_text_the_whole_prompt_is_shown() -> None:
    found = table(planted(1))
    assert found is not None
    assert found["questions"][0]["text"] == "Q: Ask 0 as first.\n A:"


def test_questions_of_two_concepts_are_not_mixed() -> None:
    mate = planted_recall({ORIGINAL: "1"}, "seed", concept="mate").assign(fact="green")
    found = table(pd.concat([planted(1), mate]))
    assert found is not None
    assert [one["fact"] for one in found["questions"]] == ["green", "fact 0"]
    marks = {row["name"]: [cell["mark"] for cell in row["cells"]] for row in found["rows"]}
    assert marks == {"the original": ["●", "●"], "never": ["", "○"], "hide": ["", "○"]}
    assert found["rows"][1]["cells"][0]["text"] == DASH


def test_long_answers_are_shortened_and_their_whole_text_is_kept() -> None:
    answers = ["word " * 40, "x" * LONGEST, " two\n lines ", " "]
    rows = planted_recall({ORIGINAL: "0000"}, "seed").query("wording == 'held_out'")
    texts = []
    for answer in answers:
        found = table(rows.assign(answer=answer))
        assert found is not None
        cell = found["rows"][0]["cells"][0]
        assert found["is_shortened"] == bool(cell["whole"])
        texts.append((cell["text"], cell["whole"]))
    assert texts == [
        ("word " * 23 + "word…", answers[0].strip()),
        ("x" * LONGEST, ""),
        ("two lines", ""),
        ("(no text)", ""),
    ]


def test_without_such_answers_there_is_no_table() -> None:
    assert answer_table(Sources({}, {}, pd.DataFrame(), {}), "seed", NAMES) is None
    assert table(planted().query("wording == 'question'")) is None
    assert table(planted()[planted()["stage"] == RELEARNED]) is None
