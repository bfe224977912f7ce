"""Answers of the unlearned model while a window of its layers is patched from the original.

Both models run in lockstep. The original reads what the unlearned model is about to read: the
prompt, then each new token that the patched model has chosen. The activations of the original at
each position are patched into the window. So prompt and answer are both patched, as the sweep
(engine/patches.py) patches a whole text. Both models keep their keys and values, so each position
is computed once. The original is never patched, so it reads a prompt once for all patches.
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
    """What is patched in one row of a batch."""

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

    def compute(indices: list[int]) -> list[list[int]]:
        prompts = [rows[index][0].ids for index in indices]
        patches = [_row_patch(rows[index][1]) for index in indices]
        with in_lockstep(original, unlearned, patches):
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
def in_lockstep(original: Any, unlearned: Any, patches: Sequence[RowPatch]) -> Iterator[None]:
    """A context in which the unlearned model runs one batch, each row with its own patch.

    The batch may grow token by token; the original runs in lockstep. All hooks are removed at the
    end, after an exception too.
    """
    recorded = [
        row
        for row, patch in enumerate(patches)
        if patch.experiment.coefficients or patch.experiment.attention
    ]
    source = SourceModel(original, torch.tensor(recorded, device=original.device))
    hooks = [unlearned.register_forward_pre_hook(source.run_in_lockstep, with_kwargs=True)]
    try:
        for index, layer in enumerate(_layers(unlearned)):
            patched = {row: one.experiment for row, one in enumerate(patches) if one.covers(index)}
            hooks += source.patch_layer(index, layer, patched, recorded)
        yield
    finally:
        for hook in [*hooks, *source.hooks]:
            hook.remove()


class SourceModel:
    """The original: it reads what the unlearned model reads, and its activations are captured.

    Args:
        rows: the rows of the batch for which it runs.
    """

    def __init__(self, model: Any, rows: Tensor) -> None:
        self.model = model
        self.family: Family = family_of(model.config.model_type)
        self.rows = rows
        self.cache = DynamicCache(config=model.config)
        self.attention: dict[int, Tensor] = {}  # layer -> (rows, tokens, hidden), of this step
        self.coefficients: dict[int, Tensor] = {}  # layer -> (rows, tokens, coefficients)
        self.prompt_of_row: Tensor | None = None  # (rows,): which distinct prompt each row has
        self.hooks: list[Any] = []

    def run_in_lockstep(self, _module: nn.Module, _inputs: Any, arguments: dict[str, Any]) -> None:
        """Before the unlearned model reads tokens, (rows, tokens), the original reads them."""
        if not len(self.rows):
            return
        # There is no mask where nothing is padded.
        given = ("input_ids", "attention_mask", "position_ids")
        read = {name: arguments[name][self.rows] for name in given if name in arguments}
        self.prompt_of_row = None
        if self.cache.get_seq_length() == 0:
            first, self.prompt_of_row = _distinct(list(read.values()))
            read = {name: value[first] for name, value in read.items()}
        self.model.base_model(**read, past_key_values=self.cache, use_cache=True)
        if self.prompt_of_row is not None:
            self.cache.batch_select_indices(self.prompt_of_row)

    def _per_row(self, states: Tensor) -> Tensor:
        """What the original has just computed, one entry per row for which it runs."""
        return states if self.prompt_of_row is None else states[self.prompt_of_row]

    def patch_layer(
        self, index: int, layer: nn.Module, patched: dict[int, Experiment], recorded: list[int]
    ) -> list[Any]:
        """Hooks that patch one layer of the unlearned model, and capture that of the original.

        Args:
            patched: what is patched into this layer, by row.
            recorded: the rows for which the original runs.
        """
        source_layer = _layers(self.model)[index]
        family, hooks = self.family, []
        attention = [row for row, one in patched.items() if one.attention]
        if attention:
            captured = source_layer.get_submodule(family.attention)
            self.hooks.append(captured.register_forward_hook(self._capture_attention(index)))
            patch = _patch(self.attention, index, attention, recorded)
            hooks.append(
                layer.get_submodule(family.attention).register_forward_hook(
                    lambda _m, _i, output: (patch(output[0]), *output[1:])
                )
            )
        coefficients = [row for row, one in patched.items() if one.coefficients]
        down = f"{family.mlp}.{family.down}"
        if coefficients:
            captured = source_layer.get_submodule(down)
            self.hooks.append(captured.register_forward_pre_hook(self._capture_coefficients(index)))
            patch_coefficients = _patch(self.coefficients, index, coefficients, recorded)
            hooks.append(
                layer.get_submodule(down).register_forward_pre_hook(
                    lambda _m, inputs: (patch_coefficients(inputs[0]),)
                )
            )
        value_vectors = [row for row, one in patched.items() if one.value_vectors]
        if value_vectors:
            swap = _swap(source_layer.get_parameter(f"{down}.weight"), value_vectors)
            hooks.append(layer.get_submodule(down).register_forward_hook(swap))
        return hooks

    def _capture_attention(self, index: int) -> Any:
        def capture(_module: nn.Module, _inputs: Any, output: Any) -> None:
            self.attention[index] = self._per_row(output[0])

        return capture

    def _capture_coefficients(self, index: int) -> Any:
        def capture(_module: nn.Module, inputs: Any) -> None:
            self.coefficients[index] = self._per_row(inputs[0])

        return capture


def _distinct(read: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """The first row of each kind, and the number of each row's kind.

    Args:
        read: tensors (rows, tokens); two rows are of one kind if they are equal in all of them.
    """
    rows = list(zip(*(map(tuple, one.tolist()) for one in read), strict=True))
    kinds = {row: number for number, row in enumerate(dict.fromkeys(rows))}
    kind_of_row = [kinds[row] for row in rows]
    device = read[0].device
    return (
        torch.tensor([kind_of_row.index(kind) for kind in range(len(kinds))], device=device),
        torch.tensor(kind_of_row, device=device),
    )


def _patch(states: dict[int, Tensor], index: int, rows: list[int], recorded: list[int]) -> Any:
    """A function that patches the original's states of one layer into these rows of a batch."""
    indices = [recorded.index(row) for row in rows]

    def patch(batch: Tensor) -> Tensor:
        changed = batch.clone()
        changed[rows] = states[index][indices]
        return changed

    return patch


def _swap(weight: Tensor, rows: list[int]) -> Any:
    """A hook on a down projection: these rows pass through another weight; the bias stays."""

    def swap(module: Any, inputs: Any, output: Tensor) -> Tensor:
        changed = output.clone()
        changed[rows] = linear(inputs[0][rows], weight, module.bias)
        return changed

    return swap


def _layers(model: Any) -> nn.ModuleList:
    layers: nn.ModuleList = getattr(model.base_model, family_of(model.config.model_type).layers)
    return layers
