"""The original's own answers, where a concept file has none."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from stillknows.answers.generate import generate_answers, load_model
from stillknows.errors import StudyError
from stillknows.models.checkpoint_files import load_tokenizer
from stillknows.texts.concepts import fact_if_said
from stillknows.texts.prompts import encode_prompt, render
from stillknows.texts.spans import read_texts

log = logging.getLogger("stillknows")


def answer_questions(
    folder: Path,
    concept: Mapping[str, Any],
    *,
    prompt: str,
    new_tokens: int,
    dtype: torch.dtype,
    device: torch.device,
    tokenizer_folder: Path | None = None,
) -> dict[str, Any]:
    """The concept with QA_with_answers and answers_tokens_num, by the model in `folder`.

    Answers are greedy. QA_with_answers is the rendered prompt and the answer, without special
    tokens; answers_tokens_num counts the answer's tokens as later jobs read them from that text
    (texts.spans). Of answer_facts, those that the answers do not say become null.

    Args:
        prompt: the model's prompt style.
        new_tokens: the most tokens of an answer; it may end earlier. As published: 30.

    Raises:
        StudyError: if an answer is empty, or if no answer says its fact.
    """
    tokenizer = load_tokenizer(tokenizer_folder or folder)
    model = load_model(folder, dtype, device)
    rendered = [render(question, prompt, tokenizer) for question in concept["QA"]]
    prompts = [encode_prompt(text, prompt, tokenizer) for text in rendered]
    # Prompts of one length at a time: nothing is padded, so an answer is that of the question
    # asked alone.
    answers = [""] * len(prompts)
    for length in dict.fromkeys(map(len, prompts)):
        indices = [index for index, ids in enumerate(prompts) if len(ids) == length]
        texts = generate_answers(
            model, tokenizer, [prompts[index] for index in indices], new_tokens
        )
        for index, text in zip(indices, texts, strict=True):
            answers[index] = text
    for number, (question, answer) in enumerate(zip(concept["QA"], answers, strict=True)):
        if not answer.strip():
            raise StudyError(
                f"concept {concept['id']}, question {number} (from 0): the original's answer is "
                "empty; take the question out, or give QA_with_answers in the concept file"
            )
        log.info("%s -> %s", question.strip(), answer.strip())
    whole = [text + answer for text, answer in zip(rendered, answers, strict=True)]
    answered = dict(concept) | {"QA_with_answers": whole}
    named = concept.get("answer_facts") or []
    if any(named):
        facts = [fact_if_said(fact, answer) for fact, answer in zip(named, answers, strict=True)]
        for fact in [fact for fact, said in zip(named, facts, strict=True) if fact and not said]:
            log.warning("the original does not say %r: this question is left without a fact", fact)
        if not any(facts):
            raise StudyError(
                f"concept {concept['id']}: the original says none of the facts in answer_facts, so "
                "it has nothing to unlearn; take the concept out, or leave its answer_facts out"
            )
        answered["answer_facts"] = facts
    counts = [len(text.answer) for text in read_texts(answered, prompt, tokenizer)]
    return answered | {"answers_tokens_num": counts}
