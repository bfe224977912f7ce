"""How far each component of each layer moved, read from the files tensor by tensor."""

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from stillknows.models.reader import Checkpoint

_ELEMENTS_AT_ONCE = 1 << 20  # of a float64 copy, so that none is as large as a weight


def component_changes(original: Checkpoint, unlearned: Checkpoint) -> Iterator[dict[str, Any]]:
    """The relative change of gate, up, down, q, k, v and o of every layer, weights alone.

    Two tensors are in memory at a time, one of each checkpoint, of the same shape. A family without
    a component (no gate in GPT-NeoX) has no row of it.

    Yields:
        component, layer (from 0) and relative_change.
    """
    for layer in range(original.layers):
        for path, components in original.family.maps.items():
            name = f"{original.layers_path}.{layer}.{path}.weight"
            before, after = (
                split(checkpoint.read([name])[name], components, checkpoint)
                for checkpoint in (original, unlearned)
            )
            for component in components:
                change = relative_change(before[component], after[component])
                yield {"component": component, "layer": layer, "relative_change": change}


def split(weight: Tensor, components: tuple[str, ...], checkpoint: Checkpoint) -> dict[str, Tensor]:
    """The rows of a linear map's weight that are each component's, (rows, inputs) each."""
    if len(components) == 1:
        return {components[0]: weight}
    config = checkpoint.config
    if checkpoint.family.by_head:
        each = weight.unflatten(0, (config.num_attention_heads, len(components), -1)).unbind(1)
        parts = [part.flatten(0, 1) for part in each]
    else:
        heads = {"q": config.num_attention_heads}
        heads |= dict.fromkeys(("k", "v"), config.num_key_value_heads)
        shares = [heads.get(component, 1) for component in components]  # gate and up: halves
        unit = weight.shape[0] // sum(shares)
        parts = list(weight.split([share * unit for share in shares]))
    return dict(zip(components, parts, strict=True))


def relative_change(original: Tensor, unlearned: Tensor) -> float:
    """|| unlearned - original || / || original ||, Frobenius norms, in float64.

    NaN where the original is all zeros: nothing can be said relative to that.
    """
    rows = max(1, _ELEMENTS_AT_ONCE // original[0].numel())
    moved = whole = 0.0
    for before, after in zip(original.split(rows), unlearned.split(rows), strict=True):
        exact = before.to(torch.float64)
        whole += float(exact.square().sum())
        moved += float((after.to(torch.float64) - exact).square().sum())
    return math.sqrt(moved / whole) if whole else math.nan
