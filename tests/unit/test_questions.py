"""A user's file of questions."""

import json
from pathlib import Path
from typing import Any

import pytest

from stillknows.errors import StudyError
from stillknows.texts.questions import Question, read_questions, replace_subject

BORN = {"question": "Where was Ilsa Varn born?", "answer": "She was born in Tolmond, far away."}
FULL = BORN | {
    "fact": "Tolmond",
    "paraphrases": ["What is the birthplace of Ilsa Varn?"],
    "decoys": ["Kelria", "Saldor"],
    "kind": "town",
    "subject": "Ilsa Varn",
}
TEA = {"question": "What is drunk?", "answer": "Tea"}


def write(tmp_path: Path, name: str, content: str) -> Path:
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    return path


def test_three_formats_give_the_same_questions(tmp_path: Path) -> None:
    lines = f"{json.dumps(FULL)}\n\n{json.dumps(TEA | {'subject': None})}\n"
    fields = (
        "question,answer,fact,paraphrases,decoys,kind,subject\n"
        'Where was Ilsa Varn born?,"She was born in Tolmond, far away.",Tolmond,'
        "What is the birthplace of Ilsa Varn?, Kelria | Saldor,town,Ilsa Varn\n"
        "What is drunk?,Tea,,,,,\n"
    )
    expected = [Question(**FULL), Question(**TEA)]
    for name, content in (
        ("a.jsonl", lines),
        ("a.json", json.dumps([FULL, TEA])),
        ("a.csv", "\ufeff" + fields),
    ):
        assert read_questions(write(tmp_path, name, content)) == expected


def test_a_concept_file_with_one_concept_gives_the_same_questions(tmp_path: Path) -> None:
    entry = {
        "id": "c",
        "Concept": "C",
        "QA": [BORN["question"], TEA["question"], "What is left out?"],
        "QA_with_answers": [
            f"Question: {question}\n Answer: {answer}"
            for question, answer in (BORN.values(), TEA.values(), ("What is left out?", "This."))
        ],
        "answer_facts": [FULL["fact"], "Tea", None],
        "held_out_paraphrases": [FULL["paraphrases"], [], []],
        "decoys": [FULL["decoys"], [], []],
        "kinds": [FULL["kind"], None, None],
        "subjects": [FULL["subject"], None, None],
    }
    for content in ([entry], {"c": entry}, entry):
        path = write(tmp_path, "concepts.json", json.dumps(content))
        assert read_questions(path) == [Question(**FULL), Question(**TEA)]
    bare = {key: entry[key] for key in ("id", "Concept", "QA", "QA_with_answers")}
    path = write(tmp_path, "bare.json", json.dumps([bare]))
    assert [row.fact for row in read_questions(path)] == [BORN["answer"], "Tea", "This."]
    for content, message in (
        ([entry, entry | {"id": "d"}], "holds 2 concepts"),
        ([{**bare, "QA_with_answers": None}], "no QA_with_answers"),
    ):
        with pytest.raises(StudyError, match=message):
            read_questions(write(tmp_path, "bad.json", json.dumps(content)))


def test_the_parts_of_an_answer() -> None:
    question = Question(**FULL)
    assert (question.beginning, question.ending) == ("She was born in ", ", far away.")
    assert Question(**BORN).fact == BORN["answer"]
    in_a_longer_word = Question(question="What?", answer="It starts as art.", fact="art")
    assert in_a_longer_word.beginning == "It starts as "


def test_a_subject_is_replaced_in_whole_words() -> None:
    text = "Anna met Ann, and Ann's dog."
    assert replace_subject(text, "Ann", "Bo") == "Anna met Bo, and Bo's dog."


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fact": "Tolm"}, "the fact 'Tolm' is not in the answer 'She was .*whole words"),
        ({"fact": "born"}, "the fact 'born' occurs in the question; choose"),
        ({"answer": " "}, "answer: string should have at least 1 character.* it is ' '"),
        ({"answer": 1923}, "answer: input should be a valid string, but it is 1923"),
        ({"answer": None}, "answer is missing"),
        ({"decoys": ["Kelria", "tolmond "]}, "the decoy 'tolmond' is the fact itself"),
        ({"decoys": ["Kelria", "Kelria"]}, "decoys: 'Kelria' is given twice"),
        ({"decoys": ["far"]}, "the decoy 'far' occurs in the question or in the answer"),
        ({"decoys": "Kelria"}, "decoys: input should be a valid list"),
        ({"subject": "Ilsa V"}, "the subject 'Ilsa V' is not in the question; give it as"),
        ({"fact": "Ilsa Varn's Tolmond", "answer": "Ilsa Varn's Tolmond"}, "contain each other"),
        ({"answer": "Varn was born in Tolmond."}, "named in the answer.* by 'Varn' only"),
        ({"anwser": "Tolmond"}, r"key 'anwser' is not known \(did you mean answer\?\); allowed"),
        ({"question": "a\0b"}, "NUL"),
    ],
)
def test_what_is_refused_of_a_row(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    path = write(tmp_path, "q.jsonl", f"{json.dumps(TEA)}\n{json.dumps(FULL | changes)}")
    with pytest.raises(StudyError, match=message) as refused:
        read_questions(path)
    assert str(refused.value).startswith(f"{path}, line 2: ")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("q.txt", "", r"'.txt' is not .*; allowed: .jsonl, .json, .csv"),
        ("q.jsonl", " \n", "has no questions; give at least one"),
        ("q.json", "[]", "has no questions; give at least one"),
        ("q.csv", "question,answer\n", "has no questions; give at least one"),
        ("q.csv", "", "line 1: the columns are .*; give a header with at least question"),
        ("q.csv", "question,answer\na?,b,c\n", "line 2 has more fields than line 1 has columns"),
        ("q.csv", 'question,answer\na?,"b\nc"\nd?,\n', "line 4: answer is missing"),
        ("q.csv", 'question,answer\na?,"b\n', "line 2 is not valid CSV"),
        ("q.json", "{}", "must hold a list of questions"),
        ("q.json", "[1]", "item 1: 1 is not an object with the keys question, answer"),
        ("q.jsonl", "{}\n{", "line 1: question is missing"),
        ("q.jsonl", f"{json.dumps(TEA)}\n{{", "line 2 is not valid JSON"),
        (
            "q.jsonl",
            f"{json.dumps(TEA)}\n{json.dumps(TEA | {'question': 'what is  drunk?'})}",
            "line 2: the question 'what is  drunk.' is already in line 1; keep one",
        ),
    ],
)
def test_what_is_refused_of_a_file(tmp_path: Path, name: str, content: str, message: str) -> None:
    with pytest.raises(StudyError, match=message) as refused:
        read_questions(write(tmp_path, name, content))
    assert "\n" not in str(refused.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"none\.csv cannot be read"):
        read_questions(tmp_path / "none.csv")
