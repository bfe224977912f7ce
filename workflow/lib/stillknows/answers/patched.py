"""Answers of the unlearned model while a window of its layers is patched from the original.

Both models run in lockstep. The original reads what the unlearned model is about to read: the
prompt, then each new token that the patched model has chosen. The activations of the original at
each position are patched into the window. So prompt and answer are both patched, as the sweep
(engine/patches.py) patches a whole text. Both models keep their keys and values, so each position
is computed once. The original is never patched, so it reads a prompt once for all patches.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import linear
from transformers import DynamicCache

from stillknows.answers.generate import generate_answers
from stillknows.engine.patches import EXPERIMENTS
from stillknows.engine.streamed_model import ATTENTION, COEFFICIENTS
from stillknows.engine.windows import layers_between
from stillknows.models.families import family_of


class Patch(NamedTuple):
    """What is patched, and into which layers, both included and counted from 0."""

    experiment: str
    first_layer: int
    last_layer: int


def all_patches(experiments: Sequence[str], windows: Sequence[str], layers: int) -> list[Patch]:
    """Every experiment on every window, FIRST-LAST each, of a model of so many layers."""
    ranges = [layers_between(window, layers) for window in windows]
    return [Patch(name, first, last) for first, last in ranges for name in experiments]


def patched_answers(
    original: Any,
    unlearned: Any,
    tokenizer: Any,
    prompts: Sequence[Sequence[int]],
    patches: Sequence[Patch],
    new_tokens: int,
) -> list[list[str]]:
    """The unlearned model's greedy answer to each prompt under each patch.

    Prompts and patches are rows of common batches: a step reads the weights once for all.

    Args:
        original, unlearned: whole models (generate.load_model), of one shape, dtype and device.
        tokenizer: of either; both must read the prompts alike.
        prompts: token ids.

    Returns:
        [patch][prompt], as text.
    """
    rows = [(ids, patch) for patch in patches for ids in prompts]
    texts = generate_answers(
        unlearned,
        tokenizer,
        [ids for ids, _ in rows],
        new_tokens,
        lambda batch: in_lockstep(original, unlearned, [rows[index][1] for index in batch]),
    )
    size = len(prompts)
    return [texts[n * size : (n + 1) * size] for n in range(len(patches))]


@contextmanager
def in_lockstep(original: Any, unlearned: Any, patches: Sequence[Patch]) -> Iterator[None]:
    """A context in which the unlearned model runs one batch, each row under its own patch.

    The batch may grow token by token; the original runs in lockstep. All hooks are removed at the
    end, after an exception too.
    """
    experiments = [EXPERIMENTS[patch.experiment] for patch in patches]
    parts = [{*one.components, *one.weights} for one in experiments]
    source = SourceModel(original, [row for row, one in enumerate(experiments) if one.components])
    family = family_of(original.config.model_type)
    down = f"{family.mlp}.{family.down}"
    activations = (
        (ATTENTION, family.attention, nn.Module.register_forward_hook),
        (COEFFICIENTS, down, nn.Module.register_forward_pre_hook),
    )
    layers = (getattr(model.base_model, family.layers) for model in (original, unlearned))
    with ExitStack() as hooks:
        hooks.enter_context(
            unlearned.register_forward_pre_hook(source.run_in_lockstep, with_kwargs=True)
        )
        for index, (layer, target) in enumerate(zip(*layers, strict=True)):
            inside = [row for row, (_, first, last) in enumerate(patches) if first <= index <= last]
            for component, path, register in activations:
                if rows := [row for row in inside if component in parts[row]]:
                    capture, patch = source.hooks(rows)
                    hooks.enter_context(register(layer.get_submodule(path), capture))
                    hooks.enter_context(register(target.get_submodule(path), patch))
            if rows := [row for row in inside if "value_vectors" in parts[row]]:
                hook = partial(_restore, layer.get_parameter(f"{down}.weight"), rows)
                hooks.enter_context(target.get_submodule(down).register_forward_hook(hook))
        yield


class SourceModel:
    """The original: it reads what the unlearned model reads, for these rows of the batch."""

    def __init__(self, model: Any, rows: list[int]) -> None:
        self.model, self.rows = model, rows
        self.cache = DynamicCache(config=model.config)
        self.prompt_of_row: Tensor | None = None  # while prompts are read: each row's distinct one

    def run_in_lockstep(self, _module: nn.Module, _inputs: Any, arguments: dict[str, Any]) -> None:
        """Before the unlearned model reads tokens, (rows, tokens), the original reads them."""
        if not self.rows:
            return
        # There is no mask where nothing is padded.
        names = ("input_ids", "attention_mask", "position_ids")
        read = {name: arguments[name][self.rows] for name in names if name in arguments}
        self.prompt_of_row = None
        if self.cache.get_seq_length() == 0:
            rows = [*map(tuple, torch.cat([*read.values()], dim=1).tolist())]
            distinct = list(dict.fromkeys(rows))
            self.prompt_of_row = torch.tensor([distinct.index(row) for row in rows])
            first = [rows.index(row) for row in distinct]
            read = {name: value[first] for name, value in read.items()}
        self.model.base_model(**read, past_key_values=self.cache, use_cache=True)
        if self.prompt_of_row is not None:
            self.cache.batch_select_indices(self.prompt_of_row)

    def hooks(self, rows: list[int]) -> tuple[Any, Any]:
        """A hook that keeps a part's states in the original, and one that patches them into `rows`.

        The last argument of both is a tuple, the states (rows, tokens, width) first.
        """
        captured: list[Tensor] = []

        def capture(*arguments: Any) -> None:
            states, prompts = arguments[-1][0], self.prompt_of_row
            captured[:] = [states if prompts is None else states[prompts]]

        def patch(*arguments: Any) -> Any:
            states, *more = arguments[-1]
            changed = states.clone()
            changed[rows] = captured[0][[self.rows.index(row) for row in rows]]
            return (changed, *more)

        return capture, patch


def _restore(weight: Tensor, rows: list[int], module: Any, inputs: Any, output: Tensor) -> Tensor:
    """A hook on a down projection: these rows pass through another weight; the bias stays."""
    changed = output.clone()
    changed[rows] = linear(inputs[0][rows], weight, module.bias)
    return changed
