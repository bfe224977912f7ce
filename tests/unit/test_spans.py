"""Prompts, token ids and the two spans; and what is refused of them."""

from pathlib import Path
from typing import Any

import pytest

from dissect.errors import DissectError
from dissect.texts.prompts import encode, load_tokenizer, render
from dissect.texts.spans import read_texts, refuse_other_ids
from tiny import tiny_concept, tiny_tokenizer

TOKENIZER = tiny_tokenizer()


def test_the_papers_prompt_keeps_the_questions_own_spaces() -> None:
    assert render(" Who?\n", "paper", TOKENIZER) == "Question:  Who?\n\n Answer:"


def test_a_chat_prompt_is_the_tokenizers_template() -> None:
    text = render(" Who?\n", "chat", TOKENIZER)
    assert text == "<|user|>Who?<|end|><|assistant|>"
    ids = encode(text, "chat", TOKENIZER)
    assert TOKENIZER.convert_ids_to_tokens(ids)[:2] == ["<|user|>", "W"]


def test_a_prompt_of_ones_own() -> None:
    assert render("Who?", "Q: {q} A:", TOKENIZER) == "Q: Who? A:"


def test_chat_without_a_template() -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = None
    with pytest.raises(DissectError, match="no chat template; use prompt: paper"):
        render("Who?", "chat", tokenizer)


def test_a_folder_without_tokenizer(tmp_path: Path) -> None:
    with pytest.raises(DissectError, match="no tokenizer") as error:
        load_tokenizer(tmp_path)
    assert "\n" not in str(error.value)


def test_both_spans() -> None:
    concept = tiny_concept(questions=2)
    concept["answers_tokens_num"] = [7, 4]
    texts = read_texts(concept, "paper", TOKENIZER)
    for text, question, count in zip(texts, concept["QA"], (7, 4), strict=True):
        prompt = len(f"Question: {question}\n Answer:")  # bytes are tokens
        assert text.answer == range(prompt - 1, len(text.ids) - 1)
        assert text.notebook == range(len(text.ids) - count, len(text.ids))
        assert text.compared == range(prompt - 1, len(text.ids))


def test_without_counts_the_notebooks_span_is_as_long_as_the_answer() -> None:
    concept = tiny_concept(questions=1)
    del concept["answers_tokens_num"]
    [text] = read_texts(concept, "paper", TOKENIZER)
    assert len(text.notebook) == len(text.answer) == len(" It is so hot.")


def test_end_of_sequence_is_no_part_of_the_answer() -> None:
    concept = tiny_concept(questions=1)
    [plain] = read_texts(concept, "paper", TOKENIZER)
    concept["QA_with_answers"][0] += "</s>"
    [ended] = read_texts(concept, "paper", TOKENIZER)
    assert ended.answer == plain.answer
    assert len(ended.ids) == len(plain.ids) + 1


@pytest.mark.parametrize("count", [0, -3, 10_000])
def test_impossible_counts(count: int) -> None:
    concept = tiny_concept(questions=2)
    concept["answers_tokens_num"][1] = count
    with pytest.raises(DissectError, match="question 1: answers_tokens_num is ") as error:
        read_texts(concept, "paper", TOKENIZER)
    assert "\n" not in str(error.value)


def refused_answer(change: dict[str, Any], style: str) -> None:
    with pytest.raises(DissectError, match="no answer after the prompt") as error:
        read_texts(tiny_concept(questions=1) | change, style, TOKENIZER)
    assert "\n" not in str(error.value)


def test_a_text_without_answer() -> None:
    refused_answer({"QA_with_answers": ["Question:  What is hot tea?\n\n Answer:"]}, "paper")


def test_a_text_that_does_not_begin_with_the_prompt() -> None:
    refused_answer({}, "chat")


def test_another_tokenizers_ids() -> None:
    concept = tiny_concept(questions=2)
    ours = read_texts(concept, "paper", TOKENIZER)
    concept["QA_with_answers"][1] += " Indeed."
    theirs = read_texts(concept, "paper", TOKENIZER)
    refuse_other_ids(ours, ours, "tiny/dpo/tea")
    with pytest.raises(DissectError, match=r"tiny/dpo/tea: .* other ids .* question 1"):
        refuse_other_ids(ours, theirs, "tiny/dpo/tea")
