"""Questions in other words, each with the answer and the fact of its question."""

from typing import Any

import pytest

from stillknows.texts.prompts import HELD_OUT_PARAPHRASES, PARAPHRASES, reworded
from stillknows.training.texts import answers_of
from tiny import tiny_tokenizer

ENTRY: dict[str, Any] = {
    "id": "tea",
    "Concept": "Tea",
    "QA": [" What is it?\n", " Where is it?\n"],
    "QA_with_answers": [
        "Question:  What is it?\n\n Answer: It is green.",
        "Question:  Where is it?\n\n Answer: It is in China.",
    ],
    "answer_facts": ["green", "China"],
    PARAPHRASES: [["What colour has it?", "It has which colour?"], ["It comes from where?"]],
    HELD_OUT_PARAPHRASES: [["Name its colour."], []],
}


def test_each_wording_has_its_questions_answer_and_fact() -> None:
    assert reworded(ENTRY, PARAPHRASES, "paper", tiny_tokenizer()) == {
        "id": "tea",
        "Concept": "Tea",
        "QA": ["What colour has it?", "It has which colour?", "It comes from where?"],
        "QA_with_answers": [
            "Question: What colour has it?\n Answer: It is green.",
            "Question: It has which colour?\n Answer: It is green.",
            "Question: It comes from where?\n Answer: It is in China.",
        ],
        "answer_facts": ["green", "green", "China"],
    }
    assert reworded(ENTRY, HELD_OUT_PARAPHRASES, "paper", tiny_tokenizer())["QA"] == [
        "Name its colour."
    ]
    plain = {key: ENTRY[key] for key in ("id", "Concept", "QA")}
    assert reworded(plain, PARAPHRASES, "paper", tiny_tokenizer())["QA"] == []


@pytest.mark.parametrize("answer", [None, "I don't know."])
def test_trainings_on_answers_read_paraphrases_and_never_what_is_held_out(
    answer: str | None,
) -> None:
    tokenizer = tiny_tokenizer()
    texts = answers_of(ENTRY, tokenizer, prompt="paper", max_length=200, answer=answer)
    read = [tokenizer.decode(text.ids) for text in texts]
    assert len(read) == 2 + 3
    assert not [text for text in read if "Name its colour" in text]
    answers = [tokenizer.decode(text.ids[text.skipped :]) for text in texts]
    expected = [" It is green.", " It is in China.", *[" It is green."] * 2, " It is in China."]
    expected = [f"{answer or text.strip()}</s>" for text in expected]
    assert [text.strip() for text in answers] == expected
