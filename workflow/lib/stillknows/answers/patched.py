"""Answers of the unlearned model while a window of its layers is patched from the original.

Both models run in lockstep. The original reads what the unlearned model is about to read: the
prompt, then each new token that the patched model has chosen. The activations of the original at
each position are patched into the window. So prompt and answer are both patched, as the sweep
(engine/patches.py) patches a whole text. Both models keep their keys and values, so each position
is computed once. The original is never patched, so it reads a prompt once for all patches.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear
from transformers import DynamicCache

from stillknows.answers.generate import answers_of
from stillknows.answers.patch_settings import Setting
from stillknows.answers.prompts import Asked
from stillknows.engine.patches import EXPERIMENTS, Experiment
from stillknows.models.families import family_of


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
        original, unlearned: whole models (original_answers.load_model), of one shape,
            dtype and device.
        tokenizer: of either; both must read `asked` alike.

    Returns:
        [setting][question], as text.
    """
    rows = [(one, setting) for setting in settings for one in asked]
    texts = answers_of(
        unlearned,
        tokenizer,
        [one for one, _ in rows],
        new_tokens,
        lambda batch: in_lockstep(original, unlearned, [rows[index][1] for index in batch]),
    )
    return [texts[start : start + len(asked)] for start in range(0, len(texts), len(asked) or 1)]


@contextmanager
def in_lockstep(original: Any, unlearned: Any, settings: Sequence[Setting]) -> Iterator[None]:
    """A context in which the unlearned model runs one batch, each row under its own setting.

    The batch may grow token by token; the original runs in lockstep. All hooks are removed at the
    end, after an exception too.
    """
    experiments = [EXPERIMENTS[setting.experiment] for setting in settings]
    rows = [row for row, one in enumerate(experiments) if one.coefficients or one.attention]
    source = SourceModel(original, rows)
    with source.hooks as hooks:
        hooks.enter_context(
            unlearned.register_forward_pre_hook(source.run_in_lockstep, with_kwargs=True)
        )
        for index, layer in enumerate(_layers(unlearned)):
            covered = [row for row, one in enumerate(settings) if one.first <= index <= one.last]
            source.patch_layer(index, layer, {row: experiments[row] for row in covered})
        yield


class SourceModel:
    """The original: it reads what the unlearned model reads, and its activations are captured.

    Args:
        rows: the rows of the batch for which it runs.

    Attributes:
        hooks: all hooks on both models, removed when it is left.
        captured: by layer and part, its states in this step: (rows, tokens, width).
    """

    def __init__(self, model: Any, rows: list[int]) -> None:
        self.model, self.rows = model, rows
        self.family = family_of(model.config.model_type)
        self.cache = DynamicCache(config=model.config)
        self.captured: dict[tuple[nn.Module, str], Tensor] = {}
        self.prompt_of_row: list[int] | None = None  # which distinct prompt each row has
        self.hooks = ExitStack()

    def run_in_lockstep(self, _module: nn.Module, _inputs: Any, arguments: dict[str, Any]) -> None:
        """Before the unlearned model reads tokens, (rows, tokens), the original reads them."""
        if not self.rows:
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
            self.cache.batch_select_indices(torch.tensor(self.prompt_of_row))

    def patch_layer(self, index: int, layer: nn.Module, patched: Mapping[int, Experiment]) -> None:
        """Patch one layer of the unlearned model: by row of the batch, what is patched."""
        source, down = _layers(self.model)[index], f"{self.family.mlp}.{self.family.down}"
        if rows := [row for row, one in patched.items() if one.attention]:
            of_output = nn.Module.register_forward_hook
            self._patch_states(of_output, source, layer, self.family.attention, rows)
        if rows := [row for row, one in patched.items() if one.coefficients]:
            of_input = nn.Module.register_forward_pre_hook
            self._patch_states(of_input, source, layer, down, rows)
        if rows := [row for row, one in patched.items() if "value_vectors" in one.weights]:
            swap = _swap(source.get_parameter(f"{down}.weight"), rows)
            self.hooks.enter_context(layer.get_submodule(down).register_forward_hook(swap))

    def _patch_states(
        self, register: Any, source: nn.Module, target: nn.Module, name: str, rows: list[int]
    ) -> None:
        """Patch the states that a part of a layer gives out, or takes in, into these rows.

        Args:
            register: what registers a hook; the hook's last argument is a tuple, the states first.
            source, target: the layers of both models; `name` is the part's.
        """

        def capture(*given: Any) -> None:
            states, kinds = given[-1][0], self.prompt_of_row
            self.captured[source, name] = states if kinds is None else states[kinds]

        def patch(*given: Any) -> Any:
            states, *more = given[-1]
            changed = states.clone()
            changed[rows] = self.captured[source, name][[self.rows.index(row) for row in rows]]
            return (changed, *more)

        for layer, hook in ((source, capture), (target, patch)):
            self.hooks.enter_context(register(layer.get_submodule(name), hook))


def _distinct(read: Sequence[Tensor]) -> tuple[list[int], list[int]]:
    """The first row of each kind, and the number of each row's kind.

    Args:
        read: tensors (rows, tokens); two rows are of one kind if they are equal in all of them.
    """
    rows = list(map(tuple, torch.cat(tuple(read), dim=1).tolist()))
    kinds = list(dict.fromkeys(rows))
    return [rows.index(kind) for kind in kinds], [kinds.index(row) for row in rows]


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
