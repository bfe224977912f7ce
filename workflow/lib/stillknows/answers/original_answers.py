"""The original's own answers, where a concept file brings none."""

import logging
from collections.abc import Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any

import torch
from torch.nn.utils.rnn import pad_sequence

from stillknows.errors import StudyError
from stillknows.models import reader
from stillknows.models.rope import refuse_long
from stillknows.models.tokenizer import load_tokenizer
from stillknows.texts.concepts import fact_if_said
from stillknows.texts.prompts import encode_prompt, render
from stillknows.texts.spans import read_texts

log = logging.getLogger("stillknows")

# What byte-level tokenizers decode to where the last token ends inside a character.
_CUT_CHARACTER = "\N{REPLACEMENT CHARACTER}"


def answer_questions(
    folder: Path,
    concept: Mapping[str, Any],
    *,
    prompt: str,
    new_tokens: int,
    dtype: torch.dtype,
    device: torch.device,
) -> dict[str, Any]:
    """The concept with QA_with_answers and answers_tokens_num, by the model in `folder`.

    Answers are greedy. QA_with_answers is the rendered prompt and the answer, its special tokens
    left out; answers_tokens_num counts the answer's tokens as they are read back from that text
    (texts.spans), which is what later jobs compare. Of answer_facts, those that the answers do not
    say become null. A StudyError if an answer is empty, or if no answer says its fact.

    Args:
        prompt: the model's prompt style.
        new_tokens: the most tokens of an answer; it may end earlier. As published: 30.
    """
    tokenizer = load_tokenizer(folder)
    model = load_model(folder, dtype, device)
    rendered = [render(question, prompt, tokenizer) for question in concept["QA"]]
    prompts = [encode_prompt(text, prompt, tokenizer) for text in rendered]
    answers = generate(model, prompts, new_tokens, tokenizer.eos_token_id)
    texts, facts = [], []
    named = concept.get("answer_facts") or [None] * len(rendered)
    for number, (text, ids, answer) in enumerate(zip(rendered, prompts, answers, strict=True)):
        words = decode_answer(ids, answer, tokenizer)
        if not words.strip():
            raise StudyError(
                f"concept {concept['id']}, question {number} (from 0): the original's answer is "
                "empty; take the question out, or give QA_with_answers in the concept file"
            )
        log.info("%s -> %s", concept["QA"][number].strip(), words.strip())
        texts.append(text + words)
        facts.append(_said(named[number], words))
    answered = dict(concept) | {"QA_with_answers": texts}
    if any(named):
        if not any(facts):
            raise StudyError(
                f"concept {concept['id']}: the original says none of the facts in answer_facts, so "
                "it has nothing to unlearn; take the concept out, or leave its answer_facts out"
            )
        answered["answer_facts"] = facts
    counts = [len(text.answer) for text in read_texts(answered, prompt, tokenizer)]
    return answered | {"answers_tokens_num": counts}


def _said(fact: str | None, answer: str) -> str | None:
    """The fact, or null if the answer lacks it, which the log says."""
    if fact and fact_if_said(fact, answer) is None:
        log.warning("the original does not say %r: this question is left without a fact", fact)
    return fact_if_said(fact, answer)


def load_model(folder: Path, dtype: torch.dtype, device: torch.device) -> Any:
    """The whole model, in evaluation mode, without the sampling settings that it may bring."""
    from transformers import GenerationConfig

    model = reader.load_model(reader.Checkpoint(folder), dtype, device)
    # generate() fills what its caller leaves open from here: a repetition penalty, for one.
    model.generation_config = GenerationConfig(eos_token_id=model.generation_config.eos_token_id)
    return model


def generate(
    model: Any, prompts: Sequence[Sequence[int]], new_tokens: int, pad: int
) -> list[list[int]]:
    """As `continue_batch`, but prompts of one length are one batch.

    So nothing is padded, and an answer is that of the question asked alone.
    """
    by_length: dict[int, list[int]] = {}
    for index, ids in enumerate(prompts):
        by_length.setdefault(len(ids), []).append(index)
    answers: dict[int, list[int]] = {}
    for indices in by_length.values():
        batch = [prompts[index] for index in indices]
        answers |= zip(indices, continue_batch(model, batch, new_tokens, pad), strict=True)
    return [answers[index] for index in range(len(prompts))]


def continue_batch(
    model: Any, prompts: Sequence[Sequence[int]], new_tokens: int, pad: int | None
) -> list[list[int]]:
    """Greedy continuations of one batch, each up to its end-of-sequence token, which is left out.

    Shorter prompts are padded on the left, where no position is attended to.

    Args:
        pad: fills up shorter prompts, and answers that end before others; None if the tokenizer
            has no end of sequence, so that none ends.

    Raises:
        StudyError: if a text may become too long for the model's rotary embedding.
    """
    refuse_long(model.config, max(map(len, prompts)) + new_tokens)
    ids = [torch.tensor(prompt) for prompt in prompts]
    batch = pad_sequence(ids, batch_first=True, padding_value=pad or 0, padding_side="left")
    mask = pad_sequence([torch.ones_like(row) for row in ids], True, 0, "left")
    with torch.inference_mode():
        grown = model.generate(
            batch.to(model.device),
            attention_mask=mask.to(model.device),
            max_new_tokens=new_tokens,
            do_sample=False,
            pad_token_id=pad,
        )
    ends = model.generation_config.eos_token_id
    ends = set(ends) if isinstance(ends, list) else {ends}
    new = grown[:, batch.shape[1] :].tolist()
    return [list(takewhile(lambda token: token not in ends, row)) for row in new]


def decode_answer(prompt: Sequence[int], answer: Sequence[int], tokenizer: Any) -> str:
    """The answer's text, with the space that some tokenizers drop at the start of a text."""
    before = tokenizer.decode(prompt, skip_special_tokens=True)
    whole = tokenizer.decode([*prompt, *answer], skip_special_tokens=True)
    if not whole.startswith(before):
        raise StudyError(
            f"the tokenizer of {tokenizer.name_or_path} decodes a prompt differently when an "
            "answer follows it; give QA_with_answers in the concept file, and turn behaviour off "
            "(behaviour: sets: [])"
        )
    return str(whole[len(before) :].rstrip(_CUT_CHARACTER))
