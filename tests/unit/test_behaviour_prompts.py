"""What a model is asked: which questions, in which words, and whether both models read the same."""

from pathlib import Path
from typing import Any

import pytest

from stillknows.answers.patched import all_patches
from stillknows.answers.prompts import concept_prompts, refuse_other_prompts
from stillknows.errors import StudyError
from stillknows.models.tokenizer import load_tokenizer
from tiny import tiny_concept

SETS = ["target", "completion", "unrelated"]


@pytest.fixture
def tokenizer(tiny_llama: Path) -> Any:
    return load_tokenizer(tiny_llama)


@pytest.fixture
def concept() -> dict[str, Any]:
    more = {
        "text_completion": [{"First_half": "Tea is", "Second_half": " hot."}],
        "unrelated_QA": [" What is snow?\n", "Why?"],
    }
    return tiny_concept("tea", 2) | more


def test_questions_come_by_the_models_prompt(concept: Any, tokenizer: Any) -> None:
    prompts = concept_prompts(concept, SETS, "paper", tokenizer)
    assert prompts[["set", "question"]].to_numpy().tolist() == [
        ["target", 0],
        ["target", 1],
        ["completion", 0],
        ["unrelated", 0],
        ["unrelated", 1],
    ]
    texts = prompts["prompt"].tolist()
    assert texts[0] == f"Question: {concept['QA'][0]}\n Answer:"
    assert texts[2] == "Please complete the following paragraph: Tea is"
    assert texts[3] == "Question:  What is snow?\n\n Answer:"
    assert prompts["ids"][2] == tuple(tokenizer(texts[2]).input_ids)


def test_other_tokens_are_refused(concept: Any, tokenizer: Any) -> None:
    prompts = concept_prompts(concept, SETS, "paper", tokenizer)
    refuse_other_prompts(prompts, prompts.copy(), "m/dpo/tea")
    other = prompts.assign(ids=[*prompts["ids"][:2], (1, 2), *prompts["ids"][3:]])
    with pytest.raises(StudyError, match=r"m/dpo/tea: .* question 0 of set completion"):
        refuse_other_prompts(prompts, other, "m/dpo/tea")


@pytest.mark.parametrize(
    ("window", "said"),
    [
        ("2-4", "2-4 reaches beyond the model, which has 4 layers; the last one is 3"),
        ("3-2", "'3-2' is not a window; allowed is FIRST-LAST"),
        ("3", "'3' is not a window"),
        ("-1-2", "'-1-2' is not a window"),
        ("01-2", "'01-2' is not a window"),
    ],
)
def test_a_window_that_is_none_is_refused(window: str, said: str) -> None:
    with pytest.raises(StudyError, match=said):
        all_patches(["attention"], [window], 4)
