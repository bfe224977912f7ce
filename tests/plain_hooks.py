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
    """What a model did with a batch: its logits, and per layer what is patched elsewhere."""

    ids: Tensor
    logits: Tensor
    coefficients: list[Tensor]
    attention: list[Tensor]
    residual: list[Tensor]


def layers_of(model: Any) -> Any:
    """Its decoder layers."""
    return model.gpt_neox.layers if model.config.model_type == "gpt_neox" else model.model.layers


def parts_of(model: Any) -> list[tuple[Any, Any]]:
    """Per layer, the last linear map of the attention and that of the MLP."""
    if model.config.model_type == "gpt_neox":
        return [(layer.attention.dense, layer.mlp.dense_4h_to_h) for layer in layers_of(model)]
    return [(layer.self_attn.o_proj, layer.mlp.down_proj) for layer in layers_of(model)]


def states_of(model: Any, ids: Tensor) -> States:
    """Logits, and per layer the input of the MLP's last map and the output of the attention's."""
    coefficients: list[Tensor] = []
    attention: list[Tensor] = []
    residual: list[Tensor] = []
    hooks = [
        layer.register_forward_hook(
            lambda _module, _inputs, output: residual.append(output.clone())
        )
        for layer in layers_of(model)
    ]
    for attention_end, mlp_end in parts_of(model):
        hooks.append(
            mlp_end.register_forward_pre_hook(
                lambda _module, inputs: coefficients.append(inputs[0].clone())
            )
        )
        hooks.append(
            attention_end.register_forward_hook(
                lambda _module, _inputs, output: attention.append(output.clone())
            )
        )
    with torch.no_grad():
        logits = model(ids).logits
    for hook in hooks:
        hook.remove()
    return States(ids, logits, coefficients, attention, residual)


def restored_parameters(model: Any, experiment: str, layers: range) -> list[str]:
    """The names of the parameters that an experiment restores."""
    is_neox = model.config.model_type == "gpt_neox"
    base, attention = ("gpt_neox", "attention") if is_neox else ("model", "self_attn")
    down = "dense_4h_to_h" if is_neox else "down_proj"
    names = []
    for name, _ in model.named_parameters():
        path = name.split(".")
        if path[:2] != [base, "layers"]:
            is_restored = experiment == "all_weights"
        elif int(path[2]) not in layers:
            is_restored = False
        else:
            is_restored = {
                "value_vectors": path[3:] == ["mlp", down, "weight"],
                "attention_weights": path[3] == attention,
                "gate_and_up_weights": path[3] == "mlp" and path[4] != down,
                "layer_weights": path[3] in (attention, "mlp"),
                "all_weights": True,
            }.get(experiment, False)
        if is_restored:
            names.append(name)
    return names


@contextmanager
def patched(
    original: Any, unlearned: Any, states: States, experiment: str, layers: range
) -> Iterator[None]:
    """The unlearned model with one component of the original patched into some layers.

    With all weights, its embedding, final norm and head are the original's, too.
    """
    experiment = experiment.removeprefix("noising_")  # which model is which is the caller's matter
    hooks = []
    for k in layers:
        attention_end, mlp_end = parts_of(unlearned)[k]
        if experiment in ("mlp_coefficients", "mlp_coefficients_and_attention"):
            hooks.append(
                mlp_end.register_forward_pre_hook(
                    lambda _module, _inputs, value=states.coefficients[k]: (value,)
                )
            )
        if experiment in ("attention", "mlp_coefficients_and_attention"):
            hooks.append(
                attention_end.register_forward_hook(
                    lambda _module, _inputs, _output, value=states.attention[k]: value
                )
            )
        if experiment == "residual":
            hooks.append(
                layers_of(unlearned)[k].register_forward_hook(
                    lambda _module, _inputs, _output, value=states.residual[k]: value
                )
            )
    weights = {}
    for name in restored_parameters(unlearned, experiment, layers):
        weights[name] = unlearned.get_parameter(name).data
        unlearned.get_parameter(name).data = original.get_parameter(name).data
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
        for name, weight in weights.items():
            unlearned.get_parameter(name).data = weight


def patched_logits(
    original: Any, unlearned: Any, states: States, experiment: str, layers: range
) -> Tensor:
    """(texts, tokens, vocabulary) logits of the unlearned model, patched; `states` are the
    original's."""
    with torch.no_grad(), patched(original, unlearned, states, experiment, layers):
        logits: Tensor = unlearned(states.ids).logits
    return logits
