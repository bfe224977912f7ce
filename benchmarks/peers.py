"""The same sweep by two libraries for interventions, for comparison: nnsight and TransformerLens.

Each is used as its documentation shows: a whole model in memory, and one patched forward of all
questions, in one padded batch, per window. The original's states are those that plain hooks keep.
The workflow needs neither library, so each is imported where it wraps a model.
"""

from collections.abc import Callable, Iterable, Sequence
from importlib.util import find_spec
from typing import Any

import torch
from opponents import Losses, Pair, losses_by_window, original_value_vectors
from torch import Tensor

from stillknows.engine.patches import Experiment
from stillknows.engine.windows import Window

MODULES = {"nnsight": "nnsight", "TransformerLens": "transformer_lens"}


def refuse_missing(peers: Iterable[str]) -> None:
    """End with one line if a library is not installed."""
    missing = [peer for peer in peers if find_spec(MODULES[peer]) is None]
    if missing:
        raise SystemExit(
            f"error: {' and '.join(missing)} not installed: .venv/bin/pip install -e "
            "'.[benchmarks]' -c constraints.txt; or leave --peers out"
        )


def wrap_by_nnsight(model: Any) -> Any:
    """The model as nnsight's users hold it."""
    from nnsight import NNsight

    return NNsight(model)


def wrap_by_transformer_lens(model: Any) -> Any:
    """The model as TransformerLens' users hold it, its weights as they are."""
    from transformer_lens.model_bridge import TransformerBridge

    return TransformerBridge.boot_transformers(
        model.name_or_path, hf_model=model, device="cpu", dtype=model.dtype
    )


@torch.inference_mode()
def nnsight_traces(pair: Pair, experiment: Experiment, windows: Sequence[Window]) -> Losses:
    """A trace per window; the pair's unlearned model is wrapped by nnsight."""
    decoder = pair.unlearned._module.model.layers

    def logits_of(layers: range) -> Tensor:
        patched = layers if "value_vectors" in experiment.weights else ()
        with original_value_vectors(
            pair, {index: decoder[index].mlp.down_proj for index in patched}
        ):
            return _traced(pair, experiment, layers)

    return losses_by_window(pair, windows, logits_of)


def _traced(pair: Pair, experiment: Experiment, layers: range) -> Tensor:
    """Logits. nnsight reads the block below as text, and runs it beside the model's forward."""
    model = pair.unlearned
    with model.trace(pair.ids, use_cache=False):
        for index in layers:
            layer = model.model.layers[index]
            if experiment.attention:
                layer.self_attn.o_proj.output = pair.attention[index]
            if experiment.coefficients:
                layer.mlp.down_proj.input = pair.coefficients[index]
        logits = model.output.logits.save()
    return logits


@torch.inference_mode()
def transformer_lens_hooks(pair: Pair, experiment: Experiment, windows: Sequence[Window]) -> Losses:
    """`run_with_hooks` per window; the pair's unlearned model is wrapped by TransformerLens."""
    bridge = pair.unlearned

    def logits_of(layers: range) -> Tensor:
        hooks: list[tuple[str, Callable[..., Tensor]]] = []
        for index in layers:
            if experiment.attention:
                hooks.append((f"blocks.{index}.attn.o.hook_out", _gives(pair.attention[index])))
            if experiment.coefficients:
                hooks.append((f"blocks.{index}.mlp.out.hook_in", _gives(pair.coefficients[index])))
        patched = layers if "value_vectors" in experiment.weights else ()
        downs = {index: bridge.blocks[index].mlp.out.original_component for index in patched}
        with original_value_vectors(pair, downs):
            return bridge.run_with_hooks(pair.ids, fwd_hooks=hooks, return_type="logits")

    return losses_by_window(pair, windows, logits_of)


def _gives(value: Tensor) -> Callable[..., Tensor]:
    """A hook that puts this value in the place of what the model computed."""
    return lambda _computed, hook: value
