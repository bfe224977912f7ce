"""Answers of whole models, greedy or sampled, many prompts at a time."""

import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import takewhile
from math import ceil
from pathlib import Path
from typing import Any

import torch
from torch.nn.utils.rnn import pad_sequence

from stillknows.errors import StudyError
from stillknows.models import reader
from stillknows.models.reader import refuse_long

log = logging.getLogger("stillknows")

# Rows of one batch. At 7B in bfloat16, with 100 new tokens, about 6 GB of keys and values.
ROWS = 80
# What byte-level tokenizers decode to where the last token ends inside a character.
_CUT_CHARACTER = "\N{REPLACEMENT CHARACTER}"


def load_model(folder: Path, dtype: torch.dtype, device: torch.device) -> Any:
    """The whole model, in evaluation mode, without the sampling settings that it may have."""
    from transformers import GenerationConfig

    model = reader.load_model(reader.Checkpoint(folder), dtype, device)
    # generate() takes what its caller leaves open from here, such as a repetition penalty.
    model.generation_config = GenerationConfig(eos_token_id=model.generation_config.eos_token_id)
    return model


def generate_answers(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[Sequence[int]],
    new_tokens: int,
    context: Callable[[list[int]], AbstractContextManager[None]] = lambda _batch: nullcontext(),
    *,
    sampled: bool = False,
) -> list[str]:
    """The model's answer to each prompt, as text, greedy or sampled; it may be empty.

    Batches have prompts of similar length, the longest first, so that a lack of memory is noticed
    early. If a GPU is out of memory, all further batches are half as large.

    Args:
        model: as `load_model` returns it.
        prompts: token ids.
        new_tokens: the most tokens of an answer; it may end earlier.
        context: the context in which a batch is computed, given the indices of its prompts.
        sampled: draw each token from the model's distribution (temperature 1) by torch's own
            generator, which the caller seeds.

    Raises:
        StudyError: if the memory does not hold a single answer.
    """
    answers = [""] * len(prompts)
    order = sorted(range(len(prompts)), key=lambda index: -len(prompts[index]))
    # Batches of equal size: a last one of a few rows would take as many steps as a full one.
    size = ceil(len(order) / max(1, ceil(len(order) / ROWS)))
    while order:
        batch = order[:size]
        ids = [prompts[index] for index in batch]
        try:
            with context(batch):
                tokens = continue_batch(
                    model, ids, new_tokens, tokenizer.eos_token_id, sampled=sampled
                )
        except torch.OutOfMemoryError as error:
            if len(batch) == 1:
                raise StudyError(
                    "the device's memory does not hold the answer to one question; end other "
                    f"programs that use it, or choose another device ({str(error).splitlines()[0]})"
                ) from error
            size = len(batch) // 2
            log.warning("out of memory: batches of %d questions from now on", size)
            continue
        for index, answer in zip(batch, tokens, strict=True):
            answers[index] = decode_answer(prompts[index], answer, tokenizer)
        order = order[len(batch) :]
    return answers


def continue_batch(
    model: Any,
    prompts: Sequence[Sequence[int]],
    new_tokens: int,
    pad: int | None,
    *,
    sampled: bool = False,
) -> list[list[int]]:
    """Greedy or sampled continuations of one batch, each up to its end-of-sequence token.

    That token is left out. Shorter prompts are padded on the left, where none is attended to.

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
            do_sample=sampled,
            **({"temperature": 1.0, "top_k": 0, "top_p": 1.0} if sampled else {}),
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
