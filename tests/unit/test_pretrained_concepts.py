"""The concept file and the checkpoints table of config/pretrained.yaml."""

import json
from pathlib import Path
from typing import Any

import pytest

from dissect.checkpoints.wheel import KNOWN_WHEELS
from dissect.inputs.concepts import has_answers, read_concept_file
from dissect.study.checkpoint_table import read_table
from dissect.training.texts import PARAGRAPH_CHARACTERS, paragraphs

PRETRAINED = Path(__file__).parents[2] / "pretrained"
UNLEARNED = ("harry_potter", "world_war_ii", "photosynthesis")
CONCEPTS = read_concept_file(PRETRAINED / "concepts.json")
LONGEST = 700  # characters of a paragraph


@pytest.fixture(params=CONCEPTS)
def concept(request: pytest.FixtureRequest) -> dict[str, Any]:
    return CONCEPTS[request.param]


def test_the_unlearned_concepts_and_at_least_four_others() -> None:
    assert set(UNLEARNED) < set(CONCEPTS)
    assert len(CONCEPTS) >= len(UNLEARNED) + 4


def test_questions(concept: dict[str, Any]) -> None:
    assert len(concept["QA"]) == 6
    assert len(concept["unrelated_QA"]) == 10
    questions = concept["QA"] + concept["unrelated_QA"]
    assert len(set(questions)) == len(questions)
    for question in questions:
        assert question == question.strip()
        assert question.endswith("?")
    assert not has_answers(concept), "the original answers them in the workflow"


@pytest.mark.parametrize("name", UNLEARNED)
def test_the_facts_are_what_the_models_own_answers_say(name: str) -> None:
    rows = (PRETRAINED / "README.md").read_text(encoding="utf-8").splitlines()
    answers = {cells[1].strip(): cells[2] for row in rows if len(cells := row.split("|")) == 5}
    accepted = json.loads((PRETRAINED / "facts.json").read_text(encoding="utf-8"))[name]
    concept = CONCEPTS[name]
    for question, fact in zip(concept["QA"], concept["answer_facts"], strict=True):
        assert fact in answers[question]
        assert fact in accepted[question]


def test_each_paragraph_is_one_training_text(concept: dict[str, Any]) -> None:
    content = concept["wikipedia_content"]
    assert content.split("\n") == paragraphs(content)
    assert 8 <= len(paragraphs(content)) <= 12
    for paragraph in paragraphs(content):
        assert PARAGRAPH_CHARACTERS < len(paragraph) <= LONGEST


def test_completions_are_cut_out_of_the_text(concept: dict[str, Any]) -> None:
    assert len(concept["text_completion"]) >= 3
    for halves in concept["text_completion"]:
        assert set(halves) == {"First_half", "Second_half"}
        assert f"{halves['First_half']} {halves['Second_half']}" in concept["wikipedia_content"]


def test_the_table_has_the_model_and_its_checkpoints_to_be_trained() -> None:
    original, *unlearned = read_table(PRETRAINED / "checkpoints.tsv")
    assert original.method == "original"
    assert original.location in KNOWN_WHEELS
    assert {row.model for row in unlearned} == {original.model}
    assert {(row.method, row.concept) for row in unlearned} == {
        (method, concept) for method in ("grad_diff", "dpo") for concept in UNLEARNED
    }
    assert {row.kind for row in unlearned} == {"unlearn"}
