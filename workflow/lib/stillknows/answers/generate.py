"""Greedy answers, many questions at a time."""

import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

import torch

from stillknows.answers.original_answers import continue_batch, decode_answer
from stillknows.answers.prompts import Asked
from stillknows.errors import StudyError

log = logging.getLogger("stillknows")
T = TypeVar("T")

# Rows of one batch. At 7B in bfloat16, with 100 new tokens, about 6 GB of keys and values.
ROWS = 80


def answers_of(
    model: Any,
    tokenizer: Any,
    asked: Sequence[Asked],
    new_tokens: int,
    around: Callable[[list[int]], AbstractContextManager[None]] = lambda _batch: nullcontext(),
) -> list[str]:
    """The model's greedy answer to each of `asked`, as text; it may be empty.

    Args:
        model: as answers.original_answers.load_model returns it.
        new_tokens: the most tokens of an answer; it may end earlier.
        around: the context in which a batch is computed, given the indices of its questions.
    """

    def compute(batch: list[int]) -> list[list[int]]:
        prompts = [asked[index].ids for index in batch]
        with around(batch):
            return continue_batch(model, prompts, new_tokens, tokenizer.eos_token_id)

    answers = in_batches([len(one.ids) for one in asked], compute)
    return [
        decode_answer(one.ids, answer, tokenizer)
        for one, answer in zip(asked, answers, strict=True)
    ]


def in_batches(
    lengths: Sequence[int], compute: Callable[[list[int]], list[T]], rows: int = ROWS
) -> list[T]:
    """What `compute` makes of each item, in batches of items of like length.

    On a GPU that is out of memory, batches are halved from there on; a StudyError if the memory
    does not hold a single item.

    Args:
        lengths: of the items' prompts, in tokens; long ones come first, so that memory that does
            not suffice is noticed early.
        compute: is given the indices of a batch's items, returns one result for each.
    """
    order = sorted(range(len(lengths)), key=lambda index: -lengths[index])
    # Batches of equal size: a last one of a few rows would take as many steps as a full one.
    batches = -(-len(order) // rows)
    size = -(-len(order) // max(batches, 1))
    results_by_index: dict[int, T] = {}
    while order:
        batch = order[:size]
        try:
            results = compute(batch)
        except torch.OutOfMemoryError as error:
            if len(batch) == 1:
                raise StudyError(
                    "the device's memory does not hold the answer to one question; end other "
                    f"programs that use it, or choose another device ({str(error).splitlines()[0]})"
                ) from error
            log.warning(
                "out of memory with %d questions in a batch; half as many from now on", len(batch)
            )
            size = len(batch) // 2
            continue
        results_by_index |= zip(batch, results, strict=True)
        order = order[len(batch) :]
    return [results_by_index[index] for index in range(len(lengths))]
