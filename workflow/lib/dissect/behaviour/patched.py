"""Answers of the unlearned model while a window of its layers is patched: in lock step.

The original reads whatever the unlearned model is about to read: the prompt, then each new token
that the patched model has chosen. What it does at each position goes into the window. So the patch
holds for prompt and answer alike, and is what the sweep does (engine/patches.py) on a text that is
being written. Both models keep their keys and values, so each position is computed once; and the
original, which sees no patch, reads a prompt once for all patches.
"""

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear
from transformers import DynamicCache

from dissect.behaviour.generate import in_batches
from dissect.behaviour.prompts import Asked
from dissect.behaviour.settings import Setting
from dissect.checkpoints.families import Family, family_of
from dissect.engine.patches import EXPERIMENTS, Experiment
from dissect.texts.answers import continue_batch, decode_answer

log = logging.getLogger("dissect")


@dataclass(frozen=True)
class RowPatch:
    """What is put back for one row of a batch."""

    experiment: Experiment
    first: int
    last: int

    def covers(self, layer: int) -> bool:
        return self.first <= layer <= self.last


def patched_answers(
    original: Any,
    unlearned: Any,
    tokenizer: Any,
    asked: Sequence[Asked],
    settings: Sequence[Setting],
    new_tokens: int,
) -> list[list[str]]:
    """The unlearned model's greedy answer to each of `asked` under each of `settings`.

    Questions and settings are rows of common batches: a step reads the weights once for all.

    Args:
        original, unlearned: whole models as texts.answers.load_model returns them, of one shape,
            dtype and device.
        tokenizer: of either; both must read `asked` alike.

    Returns:
        [setting][question], as text.
    """
    started = time.monotonic()
    rows = [(one, setting) for setting in settings for one in asked]

    def compute(places: list[int]) -> list[list[int]]:
        prompts = [rows[place][0].ids for place in places]
        patches = [_row_patch(rows[place][1]) for place in places]
        with lock_step(original, unlearned, patches):
            return continue_batch(unlearned, prompts, new_tokens, tokenizer.eos_token_id)

    answers = in_batches([len(one.ids) for one, _ in rows], compute)
    log.info(
        "answered %d questions under %d patches in %.1f s",
        *(len(asked), len(settings), time.monotonic() - started),
    )
    texts = [
        decode_answer(one.ids, answer, tokenizer)
        for (one, _), answer in zip(rows, answers, strict=True)
    ]
    return [texts[start : start + len(asked)] for start in range(0, len(texts), len(asked) or 1)]


def _row_patch(setting: Setting) -> RowPatch:
    return RowPatch(EXPERIMENTS[setting.experiment], setting.first, setting.last)


@contextmanager
def lock_step(original: Any, unlearned: Any, patches: Sequence[RowPatch]) -> Iterator[None]:
    """A context in which the unlearned model runs one batch, each row patched as its entry says.

    The batch may be grown token by token: the original keeps up. Hooks are gone at the end, after
    an exception too.
    """
    listening = [
        row
        for row, patch in enumerate(patches)
        if patch.experiment.coefficients or patch.experiment.attention
    ]
    companion = Companion(original, torch.tensor(listening, device=original.device))
    hooks = [unlearned.register_forward_pre_hook(companion.read_along, with_kwargs=True)]
    try:
        for index, layer in enumerate(_layers(unlearned)):
            here = {row: one.experiment for row, one in enumerate(patches) if one.covers(index)}
            hooks += companion.put_into(index, layer, here, listening)
        yield
    finally:
        for hook in [*hooks, *companion.hooks]:
            hook.remove()


class Companion:
    """The original, which reads along and is heard at the layers that are patched.

    Args:
        rows: of the batch, those for which it reads along.
    """

    def __init__(self, model: Any, rows: Tensor) -> None:
        self.model = model
        self.family: Family = family_of(model.config.model_type)
        self.rows = rows
        self.cache = DynamicCache(config=model.config)
        self.attention: dict[int, Tensor] = {}  # layer -> (rows, tokens, hidden), of this step
        self.coefficients: dict[int, Tensor] = {}  # layer -> (rows, tokens, coefficients)
        self.places: Tensor | None = None  # (rows,): which of a prompt's states are each row's
        self.hooks: list[Any] = []

    def read_along(self, _module: nn.Module, _inputs: Any, arguments: dict[str, Any]) -> None:
        """Before the unlearned model reads tokens, (rows, tokens), the original reads them."""
        if not len(self.rows):
            return
        # There is no mask where nothing is padded.
        given = ("input_ids", "attention_mask", "position_ids")
        read = {name: arguments[name][self.rows] for name in given if name in arguments}
        self.places = None
        if self.cache.get_seq_length() == 0:
            first, self.places = _distinct(list(read.values()))
            read = {name: value[first] for name, value in read.items()}
        self.model.base_model(**read, past_key_values=self.cache, use_cache=True)
        if self.places is not None:
            self.cache.batch_select_indices(self.places)

    def _of_rows(self, states: Tensor) -> Tensor:
        """What the original has just computed, a row for each that it reads along for."""
        return states if self.places is None else states[self.places]

    def put_into(
        self, index: int, layer: nn.Module, here: dict[int, Experiment], listening: list[int]
    ) -> list[Any]:
        """Hooks on one layer of the unlearned model, and on the original's where it is heard.

        Args:
            here: what is put back into this layer, by row.
            listening: the rows for which the original reads along.
        """
        theirs = _layers(self.model)[index]
        family, hooks = self.family, []
        attention = [row for row, one in here.items() if one.attention]
        if attention:
            end = theirs.get_submodule(family.attention)
            self.hooks.append(end.register_forward_hook(self._hear_attention(index)))
            put = _put(self.attention, index, attention, listening)
            mine = layer.get_submodule(family.attention)
            hooks.append(
                mine.register_forward_hook(lambda _m, _i, output: (put(output[0]), *output[1:]))
            )
        coefficients = [row for row, one in here.items() if one.coefficients]
        down = f"{family.mlp}.{family.down}"
        if coefficients:
            end = theirs.get_submodule(down)
            self.hooks.append(end.register_forward_pre_hook(self._hear_coefficients(index)))
            put_coefficients = _put(self.coefficients, index, coefficients, listening)
            hooks.append(
                layer.get_submodule(down).register_forward_pre_hook(
                    lambda _m, inputs: (put_coefficients(inputs[0]),)
                )
            )
        value_vectors = [row for row, one in here.items() if one.value_vectors]
        if value_vectors:
            swap = _swap(theirs.get_parameter(f"{down}.weight"), value_vectors)
            hooks.append(layer.get_submodule(down).register_forward_hook(swap))
        return hooks

    def _hear_attention(self, index: int) -> Any:
        def hear(_module: nn.Module, _inputs: Any, output: Any) -> None:
            self.attention[index] = self._of_rows(output[0])

        return hear

    def _hear_coefficients(self, index: int) -> Any:
        def hear(_module: nn.Module, inputs: Any) -> None:
            self.coefficients[index] = self._of_rows(inputs[0])

        return hear


def _distinct(read: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """The first of each kind of row, and for every row the place of its kind among these.

    Args:
        read: tensors (rows, tokens); rows are alike where they are so in all of them.
    """
    rows = list(zip(*(map(tuple, one.tolist()) for one in read), strict=True))
    kinds = {row: place for place, row in enumerate(dict.fromkeys(rows))}
    places = [kinds[row] for row in rows]
    device = read[0].device
    return (
        torch.tensor([places.index(kind) for kind in range(len(kinds))], device=device),
        torch.tensor(places, device=device),
    )


def _put(states: dict[int, Tensor], index: int, rows: list[int], listening: list[int]) -> Any:
    """A function that puts the original's states of one layer into some rows of a batch."""
    places = [listening.index(row) for row in rows]

    def put(batch: Tensor) -> Tensor:
        changed = batch.clone()
        changed[rows] = states[index][places]
        return changed

    return put


def _swap(weight: Tensor, rows: list[int]) -> Any:
    """A hook on a down projection: some rows pass through another weight; the bias stays."""

    def swap(module: Any, inputs: Any, output: Tensor) -> Tensor:
        changed = output.clone()
        changed[rows] = linear(inputs[0][rows], weight, module.bias)
        return changed

    return swap


def _layers(model: Any) -> nn.ModuleList:
    layers: nn.ModuleList = getattr(model.base_model, family_of(model.config.model_type).layers)
    return layers
