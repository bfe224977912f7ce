"""The reference that the tests trust: the dumbest hooks on a whole transformers model.

One patched forward of everything per window. Nothing here is shared with the engine.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class States:
    """What a model did with a batch: its logits, and per layer what is put back elsewhere."""

    ids: Tensor
    logits: Tensor
    coefficients: list[Tensor]
    attention: list[Tensor]


def states_of(model: Any, ids: Tensor) -> States:
    """Logits, and per layer the input of down_proj and the attention's output."""
    coefficients: list[Tensor] = []
    attention: list[Tensor] = []
    hooks = []
    for layer in model.model.layers:
        hooks.append(
            layer.mlp.down_proj.register_forward_pre_hook(
                lambda _module, inputs: coefficients.append(inputs[0].clone())
            )
        )
        hooks.append(
            layer.self_attn.o_proj.register_forward_hook(
                lambda _module, _inputs, output: attention.append(output.clone())
            )
        )
    with torch.no_grad():
        logits = model(ids).logits
    for hook in hooks:
        hook.remove()
    return States(ids, logits, coefficients, attention)


@contextmanager
def patched(
    original: Any, unlearned: Any, states: States, experiment: str, layers: range
) -> Iterator[None]:
    """The unlearned model with one component of the original put back into some layers."""
    hooks = []
    weights = {}
    for k in layers:
        layer = unlearned.model.layers[k]
        if experiment in ("mlp_coefficients", "mlp_coefficients_and_attention"):
            hooks.append(
                layer.mlp.down_proj.register_forward_pre_hook(
                    lambda _module, _inputs, value=states.coefficients[k]: (value,)
                )
            )
        if experiment in ("attention", "mlp_coefficients_and_attention"):
            hooks.append(
                layer.self_attn.o_proj.register_forward_hook(
                    lambda _module, _inputs, _output, value=states.attention[k]: value
                )
            )
        if experiment == "value_vectors":
            weights[k] = layer.mlp.down_proj.weight.data
            layer.mlp.down_proj.weight.data = original.model.layers[k].mlp.down_proj.weight.data
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
        for k, weight in weights.items():
            unlearned.model.layers[k].mlp.down_proj.weight.data = weight


def patched_logits(
    original: Any, unlearned: Any, states: States, experiment: str, layers: range
) -> Tensor:
    """(texts, tokens, vocabulary) logits of the unlearned model, patched; `states` are the
    original's."""
    with torch.no_grad(), patched(original, unlearned, states, experiment, layers):
        logits: Tensor = unlearned(states.ids).logits
    return logits
