"""Prompts, token ids and the spans; and what is refused of them."""

from typing import Any

import pytest
from tokenizers import processors

from refusals import refused
from stillknows.texts.prompts import encode, prompt_in, render
from stillknows.texts.spans import read_texts, refuse_other_ids
from tiny import tiny_concept, tiny_tokenizer

TOKENIZER = tiny_tokenizer()


def test_the_papers_prompt_keeps_the_questions_own_spaces() -> None:
    assert render(" Who?\n", "paper", TOKENIZER) == "Question:  Who?\n\n Answer:"


def test_a_chat_prompt_is_the_tokenizers_template() -> None:
    text = render(" Who?\n", "chat", TOKENIZER)
    assert text == "<|user|>Who?<|end|><|assistant|>"
    ids = encode(text, "chat", TOKENIZER)
    assert TOKENIZER.convert_ids_to_tokens(ids)[:2] == ["<|user|>", "W"]


@pytest.mark.parametrize(
    ("template", "said"),
    [
        (None, "no chat template; use prompt: paper"),
        ("{{ raise_exception('roles must alternate\\nagain') }}", "fails: roles must alternate; "),
        ("{{ messages[0]['content'] + 1 }}", "fails: can only concatenate str"),
        ("{% if %}", "fails: Expected an expression"),
        ("{{ nothing.at.all }}", "fails: 'nothing' is undefined"),
        ("{{ 1 / 0 }}", "fails: division by zero"),
        ("", "leaves out what the user says"),
        ("hello", "leaves out what the user says"),
    ],
)
def test_a_chat_template_that_gives_no_prompt(template: str | None, said: str) -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.name_or_path, tokenizer.chat_template = "own/copy", template
    refused(lambda: render("Who?", "chat", tokenizer), "the tokenizer in own/copy", said)


def test_both_spans() -> None:
    concept = tiny_concept(questions=2)
    concept["answers_tokens_num"] = [7, 4]
    texts = read_texts(concept, "paper", TOKENIZER)
    for text, question, count in zip(texts, concept["QA"], (7, 4), strict=True):
        prompt = len(f"Question: {question}\n Answer:")  # bytes are tokens
        assert text.answer == range(prompt - 1, len(text.ids) - 1)
        assert text.notebook == range(len(text.ids) - count, len(text.ids))
        assert text.compared == range(prompt - 1, len(text.ids))


def test_end_of_sequence_is_no_part_of_the_answer() -> None:
    concept = tiny_concept(questions=1)
    [plain] = read_texts(concept, "paper", TOKENIZER)
    concept["QA_with_answers"][0] += "</s>"
    [ended] = read_texts(concept, "paper", TOKENIZER)
    assert ended.answer == plain.answer
    assert len(ended.ids) == len(plain.ids) + 1


def with_bos() -> Any:
    """Any two of its texts begin with the same token."""
    tokenizer = tiny_tokenizer()
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", 0)]
    )
    return tokenizer


@pytest.mark.parametrize("tokenizer", [TOKENIZER, with_bos()], ids=["plain", "bos"])
@pytest.mark.parametrize("style", ["chat", "Q: {q} A:"])
def test_a_text_that_does_not_begin_with_the_prompt(style: str, tokenizer: Any) -> None:
    refused(
        lambda: read_texts(tiny_concept(questions=1), style, tokenizer),
        "concept tea, question 0: QA_with_answers does not begin with the question's",
        f"style {style!r}",
        "'Question: What is hot tea?",
    )


@pytest.mark.parametrize("tokenizer", [TOKENIZER, with_bos()], ids=["plain", "bos"])
def test_white_space_may_differ_from_the_prompts(tokenizer: Any) -> None:
    concept = tiny_concept(questions=1)
    [plain] = read_texts(concept, "paper", tokenizer)
    concept["QA"] = [" What  is hot tea?"]
    [text] = read_texts(concept, "paper", tokenizer)
    assert (text.ids, text.answer) == (plain.ids, plain.answer)
    concept["QA_with_answers"] = ["Question: What is hot tea? Answer: It is."]
    [text] = read_texts(concept, "paper", tokenizer)
    assert tokenizer.decode(text.ids[text.answer.start + 1 : text.answer.stop + 1]) == " It is."


@pytest.mark.parametrize(
    ("text", "rendered", "prompt"),
    [
        ("Q: a A: b", "Q: a A:", "Q: a A:"),
        ("Q:a\nA: b", "Q: a A:", "Q:a\nA:"),
        ("Q: a A:b", "Q: a A: ", "Q: a A:"),
        ("Q:a A: b", "Q: a A: ", "Q:a A: "),
        ("Q: [a] A: b", "Q: (a) A:", None),
        ("Q: a", "Q: a A:", None),
    ],
)
def test_the_prompts_part_of_a_text(text: str, rendered: str, prompt: str | None) -> None:
    assert prompt_in(text, rendered) == prompt


def test_another_tokenizers_ids() -> None:
    concept = tiny_concept(questions=2)
    ours = dict(enumerate(read_texts(concept, "paper", TOKENIZER)))
    concept["QA_with_answers"][1] += " Indeed."
    theirs = dict(enumerate(read_texts(concept, "paper", TOKENIZER)))
    refuse_other_ids(ours, ours, "tiny/dpo/tea")
    words = ("tiny/dpo/tea: ", " other ids ", " question 1")
    refused(lambda: refuse_other_ids(ours, theirs, "tiny/dpo/tea"), *words)


def test_the_facts_span_is_the_positions_that_predict_it() -> None:
    concept = tiny_concept(questions=2) | {"answer_facts": [None, "so so so"]}
    without, text = read_texts(concept, "paper", TOKENIZER)
    assert without.fact is None and without.span("fact") is None
    assert text.fact is not None
    following = [text.ids[position + 1] for position in text.fact]
    assert TOKENIZER.decode(following).strip() == "so so so"
    assert text.answer.start <= text.fact.start and text.fact.stop <= text.answer.stop
