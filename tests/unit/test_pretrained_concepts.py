"""The concept file and the checkpoints table of config/pretrained.yaml."""

import json
from pathlib import Path
from typing import Any

import pytest

from dissect.inputs.concepts import read_concept_file

PRETRAINED = Path(__file__).parents[2] / "pretrained"
UNLEARNED = ("harry_potter", "world_war_ii", "photosynthesis")
CONCEPTS = read_concept_file(PRETRAINED / "concepts.json")


@pytest.fixture(params=CONCEPTS)
def concept(request: pytest.FixtureRequest) -> dict[str, Any]:
    return CONCEPTS[request.param]


@pytest.mark.parametrize("name", UNLEARNED)
def test_the_facts_are_what_the_models_own_answers_say(name: str) -> None:
    rows = (PRETRAINED / "README.md").read_text(encoding="utf-8").splitlines()
    answers = {cells[1].strip(): cells[2] for row in rows if len(cells := row.split("|")) == 5}
    accepted = json.loads((PRETRAINED / "facts.json").read_text(encoding="utf-8"))[name]
    concept = CONCEPTS[name]
    for question, fact in zip(concept["QA"], concept["answer_facts"], strict=True):
        assert fact in answers[question]
        assert fact in accepted[question]
