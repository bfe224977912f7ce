"""Concept files."""

import json
from pathlib import Path
from typing import Any

import pytest

from refusals import refused
from stillknows.texts.concepts import digest, read_concept_file


def entry(**changes: Any) -> dict[str, Any]:
    plain = {
        "id": 16,
        "Concept": "Tea",
        "QA": [" Is it hot?\n", " Is it tea?"],
        "QA_with_answers": ["q a", "q b"],
        "answers_tokens_num": [3, 1],
    }
    return {key: value for key, value in (plain | changes).items() if value is not ...}


def write(tmp_path: Path, content: Any) -> Path:
    path = tmp_path / "concepts.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def test_an_object_of_entries_by_id(tmp_path: Path) -> None:
    found = read_concept_file(write(tmp_path, {"tea": entry(id=...)}))
    assert found["tea"]["id"] == "tea"


def test_the_digest_follows_the_content_only() -> None:
    turned = dict(reversed(entry().items()))
    assert digest(entry()) == digest(turned)
    assert digest(entry()) != digest(entry(Concept="Coffee"))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"QA": ...}, "QA"),
        ({"QA": []}, "QA"),
        ({"QA": "Is it?"}, "QA"),
        ({"QA": ["a", " "]}, "QA.1"),
        ({"id": ...}, "id"),
        ({"id": "a/b"}, "a/b"),
        ({"id": True}, "True"),
        ({"id": "x" * 260}, "260 bytes"),
        ({"id": "tea.patched"}, ".patched"),
        ({"QA": ["Is it?", "A\udfffB?"]}, "'QA'"),
        ({"QA": ["Is\0it?"]}, "NUL"),
        ({"Concept": 3}, "Concept"),
        ({"QA_with_answers": ["q a"]}, "QA_with_answers"),
        ({"QA_with_answers": ...}, "answers_tokens_num needs QA_with_answers"),
        ({"answers_tokens_num": [3, 0]}, "tokens_num.1"),
        ({"answer_facts": ["so hot"]}, "answer_facts"),
        ({"answer_facts": [None, "tea"]}, "'tea'"),
        ({"answer_facts": ["a", "c"]}, "'c'"),
        ({"Layer": 3}, "Dim"),
        ({"Layer": 3, "Dim": -1}, "Dim"),
        ({"text_completion": [{"First_half": " "}]}, "0.First_half"),
    ],
)
def test_a_bad_entry_is_named(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    path = write(tmp_path, [entry(id="first"), entry(**changes)])
    refused(lambda: read_concept_file(path), said, "entry 1")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ([entry(), entry(id="16")], "'16' twice"),
        ("not json", "JSON"),
        ([], "list of concepts"),
        ([3], "object"),
        ({"tea": entry(id="coffee")}, "'coffee'"),
        ('{"tea": {}, "tea": {}}', "'tea' twice"),
        ('[{"id": 4, "QA": ["a"], "QA": ["b"]}]', "'QA' twice"),
        ("[" * 100_000, "nested"),
    ],
)
def test_a_bad_file_is_named(tmp_path: Path, content: Any, said: str) -> None:
    path = write(tmp_path, content)
    assert len(refused(lambda: read_concept_file(path), said)) < 400


def test_a_file_with_a_byte_order_mark_is_read_and_other_encodings_are_named(
    tmp_path: Path,
) -> None:
    path = write(tmp_path, [entry(Concept="Café")])
    plain = read_concept_file(path)
    path.write_text(path.read_text(encoding="utf-8"), encoding="utf-8-sig")
    assert read_concept_file(path) == plain
    path.write_text(json.dumps([entry(Concept="Café")], ensure_ascii=False), encoding="latin-1")
    refused(lambda: read_concept_file(path), "is not a text file in UTF-8")


@pytest.mark.parametrize(
    ("fact", "question", "text"),
    [
        ("seven", "Why seven nights?", None),
        ("seven", "Are there seven?", None),
        ("seven", "Who said (seven) first?", None),
        ("seven", "Where is the number-seven boat?", None),
        ("seven", "Seven or seven's?", None),
        ("seven", "Is it Seven?", None),
        ("東京", "東京は日本の首都ですか。", None),
        (" seven", "Why seven nights?", None),
        ('"Quill"', 'Who calls it the "Quill"?', None),
        ("Varn", " Who began it?\n", "Question: Who began it?\n Answer: Ilsa."),
        # The prompt alone has it.
        ("Question", " Who began it?\n", "Question: Who began it?\n Answer: Ilsa."),
        # The text's last space is not read.
        ("Ilsa ", " Who began it?\n", "Question: Who began it?\n Answer: Ilsa "),
        ("Varn", " Who began it?\n", "Question: Who  began it?\n Answer: Ilsa."),
        ("art", " Who began it?\n", "Question: Who began it?\n Answer: It starts."),
    ],
)
def test_a_fact_is_in_whole_words_in_the_answer_and_not_in_the_question(
    tmp_path: Path, fact: str, question: str, text: str | None
) -> None:
    answered = {"QA_with_answers": [text]} if text else {}
    concept = {"id": "a", "Concept": "A", "QA": [question], "answer_facts": [fact]} | answered
    path = write(tmp_path, [concept])
    refused(lambda: read_concept_file(path), f"'{fact}' of question 0")
