"""The audit's study, as it is written before anything runs."""

import json
import logging
from pathlib import Path

import pytest

from stillknows.study.audit import Request, write_study

ROW = {"question": "What does Ann Bell grow?", "answer": "Green tea.", "subject": "Ann Bell"}


@pytest.mark.parametrize(
    ("rows", "notes"),
    [
        ([ROW] * 5, ["--retained", "one wording"]),
        ([ROW] * 4, ["needs 5", "--retained", "one wording"]),
        ([{**ROW, "subject": None}] * 5, ["--retained", "one wording", "5 questions have neither"]),
        (
            [{**ROW, "subject": None, "kind": "tea"}] * 6,
            ["--retained", "one wording", "kind tea, 6 questions"],
        ),
        ([{**ROW, "subject": None, "kind": "tea"}] * 20, ["--retained", "one wording"]),
    ],
)
def test_what_weakens_a_verdict_is_said_first(
    rows: list[dict[str, str]], notes: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    places = {name: tmp_path / name for name in ("copy", "original")}
    for place in places.values():
        place.mkdir()
    questions = tmp_path / "questions.jsonl"
    numbered = [{**row, "question": f"{row['question']} ({n})"} for n, row in enumerate(rows)]
    questions.write_text("".join(json.dumps(row) + "\n" for row in numbered), encoding="utf-8")
    with caplog.at_level(logging.INFO, "stillknows"):
        write_study(
            Request(
                copies=[str(places["copy"])],
                original=str(places["original"]),
                questions=questions,
                output=tmp_path / "out",
                prompt="paper",
            )
        )
    said = [line for line in caplog.messages if line.startswith("note")]
    assert len(said) == len(notes)
    assert all(note in line for note, line in zip(notes, said, strict=True))
