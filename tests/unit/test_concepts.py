"""Concept files."""

import json
from pathlib import Path
from typing import Any

import pytest

from dissect.errors import DissectError
from dissect.inputs.concepts import digest, has_answers, read_concept_file

ROOT = Path(__file__).parents[2]


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


def test_ids_become_strings_and_the_rest_stays(tmp_path: Path) -> None:
    found = read_concept_file(write(tmp_path, [entry(Layer=3, Dim=0), entry(id="x.y-z_é")]))
    assert list(found) == ["16", "x.y-z_é"]
    assert found["16"] == entry(id="16", Layer=3, Dim=0)


def test_an_object_of_entries_by_id(tmp_path: Path) -> None:
    found = read_concept_file(write(tmp_path, {"tea": entry(id=...)}))
    assert found["tea"]["id"] == "tea"


def test_the_concepts_of_the_pretrained_study_are_whole() -> None:
    found = read_concept_file(ROOT / "pretrained/concepts.json")
    assert {"harry_potter", "world_war_ii", "photosynthesis"} <= set(found)
    assert all(item["wikipedia_content"] for item in found.values())


def test_answers_are_optional() -> None:
    assert has_answers(entry())
    assert not has_answers(entry(QA_with_answers=..., answers_tokens_num=...))


def test_the_digest_follows_the_content_only() -> None:
    turned = dict(reversed(entry().items()))
    assert digest(entry()) == digest(turned)
    assert digest(entry()) != digest(entry(Concept="Coffee"))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"QA": ...}, "QA is missing"),
        ({"Concept": ...}, "Concept is missing"),
        ({"id": ...}, "id is missing"),
        ({"QA": []}, "QA: must have an entry, but is empty"),
        ({"QA": "Is it?"}, "QA: input should be a valid list"),
        ({"QA": ["a", " "]}, "QA.1: must not be empty"),
        ({"id": "a/b"}, "cannot be a part of a path"),
        ({"id": ".."}, "cannot be a part of a path"),
        ({"id": True}, "True cannot be an id; give a name or a number"),
        ({"id": "x" * 260}, "has 260 bytes; at most 200 are allowed"),
        ({"id": "tea.patched"}, "ends in .patched"),
        ({"id": "tea.unrelated"}, "ends in .unrelated"),
        ({"Concept": "\ud800"}, "'Concept' holds half of a surrogate pair"),
        ({"QA": ["Is it?", "A\udfffB?"]}, "'QA' holds half of a surrogate pair"),
        ({"QA_with_answers": ["q", "\ud800"]}, "'QA_with_answers' holds half of a surrogate"),
        ({"notes": [{"by": "\ud800"}]}, "'notes' holds half of a surrogate pair"),
        ({"QA": ["Is\0it?"]}, "'QA' holds a NUL character"),
        ({"Concept": 3}, "Concept: input should be a valid string, but it is 3"),
        ({"QA_with_answers": ["q a"]}, "QA_with_answers has 1 items for 2 questions"),
        ({"answers_tokens_num": [3]}, "answers_tokens_num has 1 items for 2 questions"),
        (
            {"answers_tokens_num": [3, 0]},
            "tokens_num.1: input should be greater than or equal to 1",
        ),
        ({"answers_tokens_num": [-2, 1]}, "greater than or equal to 1, but it is -2"),
        ({"answers_tokens_num": [1.5, 1]}, "but it is 1.5"),
        ({"QA_with_answers": ...}, "answers_tokens_num needs QA_with_answers"),
        ({"Layer": 3}, "Layer and Dim name a value vector together; give both or"),
        ({"Layer": 3.5, "Dim": 0}, "Layer: input should be a valid integer, but it is 3.5"),
        ({"Layer": 3, "Dim": -1}, "Dim: input should be greater than or equal to 0, but it is -1"),
        ({"wikipedia_content": ["x"]}, "wikipedia_content: input should be a valid string"),
        ({"unrelated_QA": ["Why?", ""]}, "unrelated_QA.1: must not be empty"),
        (
            {"text_completion": ["Tea is"]},
            "text_completion.0: must have keys of its own, but is 'Tea is'",
        ),
        ({"text_completion": [{"First_half": " "}]}, "0.First_half: must not be empty"),
    ],
)
def test_a_bad_entry_is_named(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(DissectError) as caught:
        read_concept_file(write(tmp_path, [entry(id="first"), entry(**changes)]))
    assert said in str(caught.value)
    assert "entry 1" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ([entry(), entry(id="16")], "has id '16' twice"),
        ("not json", "is not valid JSON"),
        ([], "must be a list of concepts"),
        ([3], "is not an object"),
        ({"a": 3}, "is not an object"),
        ({"tea": entry(id="coffee")}, "the entry 'tea' has the id 'coffee'"),
        ('{"tea": {}, "tea": {}}', "has the key 'tea' twice"),
        ('[{"id": 4, "QA": ["a"], "QA": ["b"]}]', "the object with id 4 has the key 'QA' twice"),
        ('[{"id": 4, "x": {"y": 1, "y": 1}}]', "has the key 'y' twice"),
        ("[" * 100_000, "nested too deeply"),
        (f'[{{"id": 4, "x": {"1" * 5000}}}]', "is not valid JSON"),
    ],
)
def test_a_bad_file_is_named(tmp_path: Path, content: Any, said: str) -> None:
    with pytest.raises(DissectError) as caught:
        read_concept_file(write(tmp_path, content))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


def test_a_file_with_a_byte_order_mark_is_read_and_other_encodings_are_named(
    tmp_path: Path,
) -> None:
    path = write(tmp_path, [entry(Concept="Café")])
    plain = read_concept_file(path)
    path.write_text(path.read_text(encoding="utf-8"), encoding="utf-8-sig")
    assert read_concept_file(path) == plain
    path.write_text(json.dumps([entry(Concept="Café")], ensure_ascii=False), encoding="latin-1")
    with pytest.raises(DissectError, match="is not a text file in UTF-8"):
        read_concept_file(path)


def test_a_whole_surrogate_pair_is_a_character(tmp_path: Path) -> None:
    path = write(tmp_path, [entry(Concept="Tea \N{TEACUP WITHOUT HANDLE}")])
    assert "\\ud83c\\udf75" in path.read_text(encoding="utf-8")
    assert read_concept_file(path)["16"]["Concept"] == "Tea \N{TEACUP WITHOUT HANDLE}"


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DissectError, match=r"cannot be read \(No such file"):
        read_concept_file(tmp_path / "none.json")


AUTHORS = ROOT.parent / "shared" / "data"


@pytest.mark.skipif(not AUTHORS.is_dir(), reason="the authors' data is not beside this checkout")
@pytest.mark.parametrize("model", ["llama2-7b", "olmo-7b"])
def test_the_authors_data_parses_whole(model: str) -> None:
    found = read_concept_file(AUTHORS / f"{model}_concepts_test_30tokens_answers.json")
    assert len(found) == 10
    assert all(has_answers(item) for item in found.values())


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        (["so hot"], "answer_facts has 1 items for 2 questions"),
        (
            [None, "tea"],
            r"the fact 'tea' of question 1 \(from 0\) occurs in the question; choose a part that "
            "only the answer contains$",
        ),
        (
            ["a", "c"],
            r"the fact 'c' of question 1 \(from 0\) is not in the answer in QA_with_answers; ",
        ),
        ([None, " "], "must not be empty"),
    ],
)
def test_bad_facts_are_refused(tmp_path: Path, facts: list[str | None], said: str) -> None:
    path = tmp_path / "concepts.json"
    path.write_text(json.dumps([entry(answer_facts=facts)]), encoding="utf-8")
    with pytest.raises(DissectError, match=said):
        read_concept_file(path)


def one_fact(question: str, text: str | None, fact: str) -> list[dict[str, Any]]:
    """A concept file with one question; the text, if any, is its item of QA_with_answers."""
    answered = {"QA_with_answers": [text]} if text else {}
    return [{"id": "a", "Concept": "A", "QA": [question], "answer_facts": [fact]} | answered]


@pytest.mark.parametrize(
    ("fact", "question"),
    [
        ("seven", "Why seven nights?"),
        ("seven", "Are there seven?"),
        ("seven", "Who said (seven) first?"),
        ("seven", "Where is the number-seven boat?"),
        ("seven", "Seven or seven's?"),
        ("seven", "Is it Seven?"),
        ("東京", "東京は日本の首都ですか。"),
        (" seven", "Why seven nights?"),
        ('"Quill"', 'Who calls it the "Quill"?'),
    ],
)
def test_a_fact_in_whole_words_of_its_question_is_refused(
    tmp_path: Path, fact: str, question: str
) -> None:
    with pytest.raises(DissectError, match=r"question 0 \(from 0\) occurs in the question"):
        read_concept_file(write(tmp_path, one_fact(question, None, fact)))


@pytest.mark.parametrize(
    ("fact", "question"),
    [
        ("seven", "What happens on the seventh night?"),
        ("even", "Are there seven?"),
        ("seven", "Is it route_seven?"),
        ("7", "What happened in 1907?"),
        ("3.5", "Why 3x5?"),
    ],
)
def test_a_fact_inside_a_longer_word_of_its_question_is_used(
    tmp_path: Path, fact: str, question: str
) -> None:
    entries = read_concept_file(write(tmp_path, one_fact(question, None, fact)))
    assert entries["a"]["answer_facts"] == [fact]


@pytest.mark.parametrize(
    ("text", "fact"),
    [
        ("Question: Who began it?\n Answer: Ilsa.", "Varn"),
        ("Question: Who began it?\n Answer: Ilsa.", "Question"),  # the prompt alone has it
        ("Question: Who began it?\n Answer: Ilsa ", "Ilsa "),  # its last space is not read
        ("Question: Who  began it?\n Answer: Ilsa.", "Varn"),
        ("Question: Who began it?\n Answer: It starts.", "art"),
    ],
)
def test_a_fact_that_a_given_answer_lacks_is_refused(tmp_path: Path, text: str, fact: str) -> None:
    path = write(tmp_path, one_fact(" Who began it?\n", text, fact))
    with pytest.raises(DissectError, match=rf"fact '{fact}' of question 0 .* is not in the answer"):
        read_concept_file(path)


@pytest.mark.parametrize(
    ("text", "fact"),
    [
        ("Question:  Who began it?\n\n Answer: Ilsa.", "Ilsa"),
        ("Question: Who  began it?\n Answer: Ilsa.", "Ilsa"),  # other white space
        (None, "Varn"),  # the original's answers are not known yet
    ],
)
def test_a_fact_that_an_answer_has_or_may_have_is_used(
    tmp_path: Path, text: str | None, fact: str
) -> None:
    entries = read_concept_file(write(tmp_path, one_fact(" Who began it?\n", text, fact)))
    assert entries["a"]["answer_facts"] == [fact]
