"""What models are asked, their greedy answers, and the similarity of these."""

import math
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import processors
from transformers import GenerationConfig

from stillknows.answers.answer_table import bleu, rouge_l
from stillknows.answers.generate import continue_batch, load_model
from stillknows.answers.original_answers import answer_questions
from stillknows.answers.patched import all_patches
from stillknows.answers.prompts import concept_prompts, refuse_other_prompts
from stillknows.answers.recall import recall
from stillknows.errors import StudyError
from stillknows.models.checkpoint_files import load_tokenizer
from stillknows.texts.concepts import fact_if_said
from stillknows.texts.prompts import encode, render
from stillknows.texts.spans import read_texts
from tiny import tiny_concept

CPU = torch.device("cpu")
PROMPTS = [[5, 6, 7], [8, 9], [10, 11, 12], [13, 14, 15, 16], [17, 18]]
NEW_TOKENS = 6
PAD = 1
SETS = ["target", "completion", "unrelated"]
MORE = {
    "text_completion": [{"First_half": "Tea is", "Second_half": " hot."}],
    "unrelated_QA": [" What is snow?\n", "Why?"],
}


@pytest.fixture(scope="module")
def model(tiny_llama: Path) -> Any:
    """The tiny model; it never ends an answer by itself."""
    model = load_model(tiny_llama, torch.float32, CPU)
    model.generation_config = GenerationConfig()
    return model


def by_hand(model: Any, prompt: Sequence[int], new_tokens: int) -> list[int]:
    """Greedy decoding without a cache: the whole text again for each token."""
    ids = list(prompt)
    with torch.inference_mode():
        for _ in range(new_tokens):
            ids.append(int(model(torch.tensor([ids])).logits[0, -1].argmax()))
    return ids[len(prompt) :]


def test_a_continuation_in_a_padded_batch_is_that_of_the_prompt_alone(model: Any) -> None:
    together = continue_batch(model, PROMPTS, NEW_TOKENS, PAD)
    assert together == [by_hand(model, prompt, NEW_TOKENS) for prompt in PROMPTS]


def test_an_answer_ends_before_its_end_of_sequence(model: Any, monkeypatch: Any) -> None:
    whole = continue_batch(model, PROMPTS, NEW_TOKENS, PAD)
    end = whole[0][3]
    monkeypatch.setattr(model, "generation_config", GenerationConfig(eos_token_id=[end]))
    for cut, answer in zip(continue_batch(model, PROMPTS, NEW_TOKENS, PAD), whole, strict=True):
        assert cut == (answer[: answer.index(end)] if end in answer else answer)


def test_sampling_settings_of_a_checkpoint_are_ignored(tiny_llama: Path, tmp_path: Path) -> None:
    plain = load_model(tiny_llama, torch.float32, CPU)
    expected = continue_batch(plain, PROMPTS, NEW_TOKENS, PAD)
    plain.generation_config = GenerationConfig(
        do_sample=True, temperature=0.1, repetition_penalty=9.0, eos_token_id=1
    )
    plain.save_pretrained(tmp_path)
    again = load_model(tmp_path, torch.float32, CPU)
    assert continue_batch(again, PROMPTS, NEW_TOKENS, PAD) == expected


def answer_as(
    folder: Path,
    concept: dict[str, Any],
    answers: list[str],
    monkeypatch: Any,
    style: str = "paper",
) -> dict[str, Any]:
    """The concept, answered by a model that says these words, in this order."""
    words = iter(answers)

    def say(_model: Any, _tokenizer: Any, prompts: list[list[int]], _tokens: int) -> list[str]:
        return [next(words) for _ in prompts]

    monkeypatch.setattr("stillknows.answers.original_answers.generate_answers", say)
    settings: dict[str, Any] = {"prompt": style, "new_tokens": NEW_TOKENS}
    return answer_questions(folder, concept, **settings, dtype=torch.float32, device=CPU)


@pytest.mark.parametrize("style", ["paper", "chat", "Q: {q} A:"])
def test_answered_texts_read_back(tiny_llama: Path, style: str, monkeypatch: Any) -> None:
    tokenizer = load_tokenizer(tiny_llama)
    words = [" It is hot.", "Té", " So"]
    concept = {
        "id": "tea",
        "Concept": "Tea",
        "QA": [" What tea?\n", " What hot?\n", " Why this?\n"],
    }
    answered = answer_as(tiny_llama, concept, words, monkeypatch, style)
    assert answered["QA_with_answers"] == [
        render(question, style, tokenizer) + text
        for question, text in zip(concept["QA"], words, strict=True)
    ]
    counts = [len(encode(text, "chat", tokenizer)) for text in words]
    assert answered["answers_tokens_num"] == counts
    assert [len(text.answer) for text in read_texts(answered, style, tokenizer)] == counts
    assert answered["QA"] == concept["QA"]
    assert "QA_with_answers" not in concept


def test_a_fact_inside_a_longer_word_is_not_said() -> None:
    assert fact_if_said("art", "It starts.") is None
    assert fact_if_said("art", "It is art.") == "art"


@pytest.mark.parametrize("style", ["paper", "chat", "Q: {q}</s>"])
def test_no_answer_continues_an_end_of_sequence_that_the_tokenizer_appends(
    tiny_llama: Path, tmp_path: Path, style: str
) -> None:
    """Such a tokenizer changes no answer, and prompts are those of the compared texts."""
    ending = shutil.copytree(tiny_llama, tmp_path / "ending")
    tokenizer = load_tokenizer(ending)
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 1)]
    )
    tokenizer.save_pretrained(ending)
    tokenizer = load_tokenizer(ending)
    assert tokenizer("a").input_ids[-1] == tokenizer.eos_token_id
    concept = {"id": "tea", "Concept": "Tea", "QA": ["What?", "Why?"], "answer_facts": ["a", "b"]}
    settings: dict[str, Any] = {"prompt": style, "new_tokens": NEW_TOKENS}
    settings |= {"dtype": torch.float32, "device": CPU}
    without_facts = {key: value for key, value in concept.items() if key != "answer_facts"}
    folders = (ending, tiny_llama)
    answered, plain = (answer_questions(one, without_facts, **settings) for one in folders)
    assert answered == plain
    recalled, plain_recalled = (
        recall(
            one, load_tokenizer(one), concept, ["question"], **settings, relearning=None, seed=0
        )[0]
        for one in folders
    )
    assert recalled.equals(plain_recalled)
    prompts = concept_prompts(concept, ["target"], style, tokenizer)
    for ids, text in zip(prompts["ids"], read_texts(answered, style, tokenizer), strict=True):
        assert ids == text.ids[: text.answer.start + 1]


def test_facts_that_the_original_does_not_say_are_left_out(
    tiny_llama: Path, monkeypatch: Any
) -> None:
    concept = {"id": "tea", "Concept": "Tea", "QA": ["What?", "Why??"]}
    concept |= {"answer_facts": ["leaf", "heat"]}
    answered = answer_as(tiny_llama, concept, [" A hot leaf.", " No."], monkeypatch)
    assert answered["answer_facts"] == ["leaf", None]


@pytest.mark.parametrize(
    ("answer", "message"),
    [(" No.", "concept tea: .* none of the facts"), (" ", "question 0 .*empty")],
)
def test_an_original_that_says_no_fact_or_nothing_is_refused(
    tiny_llama: Path, monkeypatch: Any, answer: str, message: str
) -> None:
    concept = {"id": "tea", "Concept": "Tea", "QA": ["What?"], "answer_facts": ["leaf"]}
    with pytest.raises(StudyError, match=message):
        answer_as(tiny_llama, concept, [answer], monkeypatch)


def test_questions_come_by_the_models_prompt(tiny_llama: Path) -> None:
    tokenizer, concept = load_tokenizer(tiny_llama), tiny_concept("tea", 2) | MORE
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


def test_other_tokens_are_refused(tiny_llama: Path) -> None:
    tokenizer, concept = load_tokenizer(tiny_llama), tiny_concept("tea", 2) | MORE
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


def test_bleu_by_hand() -> None:
    # Of 4 words 3 are there, of 3 pairs 2, of 2 triples 1, of 1 quadruple none: smoothed to 1/2.
    expected = (3 / 4 * 2 / 3 * 1 / 2 * 1 / 2) ** (1 / 4)
    assert bleu("a b c d", "a b c e") == pytest.approx(expected)
    # Shorter than the original by one word: times exp(1 - 5/4).
    assert bleu("a b c d e", "a b c d") == pytest.approx(math.exp(1 - 5 / 4))
    assert bleu("Tea, hot", "tea hot") < bleu("Tea, hot", "Tea, hot") < 1  # under four words


def test_rouge_l_by_hand() -> None:
    # The longest common subsequence is a c d: precision 3/3, recall 3/5.
    assert rouge_l("a b c d e", "a c d") == pytest.approx(2 * 1 * 0.6 / 1.6)
    assert rouge_l("Tea, hot", "tea hot") == 1


def test_the_original_is_the_reference() -> None:
    """Exchanged, BLEU would punish the longer text instead of the shorter one."""
    assert bleu("a b c d e f", "a b c d") < bleu("a b c d", "a b c d") == pytest.approx(1)
    assert bleu("a b c d e f", "a b c d") != bleu("a b c d", "a b c d e f")


def test_nothing_is_like_an_empty_answer_of_the_original() -> None:
    assert math.isnan(bleu(" \n", "words")) and math.isnan(rouge_l(" \n", "words"))
    assert math.isnan(rouge_l("...", "..."))
    assert bleu("some words", "") == 0 and rouge_l("some words", "") == 0
