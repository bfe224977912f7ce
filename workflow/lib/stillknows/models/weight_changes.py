"""How far each component of each layer moved, and the value vector that holds a concept.

Concept files name a value vector by Layer and Dim: column Dim of the down projection of layer Layer
(ConceptVectors, evaluate_util.py: cosine_similarity, norm_distance, jaccard_similarity).
"""

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from stillknows.errors import StudyError
from stillknows.models.reader import Checkpoint, empty_model, tied_tensors

TOP_TOKENS = 200  # of a concept vector, as published
_ELEMENTS_AT_ONCE = 1 << 20  # of a float64 copy, so that none is as large as a weight
_ROWS_AT_ONCE = 1024  # of the output embedding, in float64
_HEAD = "lm_head.weight"


def component_changes(original: Checkpoint, unlearned: Checkpoint) -> Iterator[dict[str, Any]]:
    """The relative change of gate, up, down, q, k, v and o of every layer, weights alone.

    Yields component, layer (from 0) and relative_change, with two tensors in memory at a time. A
    family without a component (no gate in GPT-NeoX) has no row of it.
    """
    for layer in range(original.layers):
        for path, components in original.family.maps.items():
            name = f"{original.layers_path}.{layer}.{path}.weight"
            before, after = (
                _split(checkpoint.read([name])[name], components, checkpoint)
                for checkpoint in (original, unlearned)
            )
            for component in components:
                change = relative_change(before[component], after[component])
                yield {"component": component, "layer": layer, "relative_change": change}


def _split(
    weight: Tensor, components: tuple[str, ...], checkpoint: Checkpoint
) -> dict[str, Tensor]:
    """The rows of a linear map's weight that are each component's, (rows, inputs) each."""
    config = checkpoint.config
    if checkpoint.family.by_head:
        by_head = weight.unflatten(0, (config.num_attention_heads, len(components), -1)).unbind(1)
        parts = [part.flatten(0, 1) for part in by_head]
    else:
        heads = {"q": config.num_attention_heads}
        heads |= dict.fromkeys(("k", "v"), config.num_key_value_heads)
        shares = [heads.get(component, 1) for component in components]  # gate and up: halves
        unit = weight.shape[0] // sum(shares)
        parts = list(weight.split([share * unit for share in shares]))
    return dict(zip(components, parts, strict=True))


def relative_change(original: Tensor, unlearned: Tensor) -> float:
    """|| unlearned - original || / || original ||, Frobenius norms, in float64; NaN where 0 / 0."""
    rows = max(1, _ELEMENTS_AT_ONCE // original[0].numel())
    moved = whole = 0.0
    for before, after in zip(original.split(rows), unlearned.split(rows), strict=True):
        exact = before.to(torch.float64)
        whole += float(exact.square().sum())
        moved += float((after.to(torch.float64) - exact).square().sum())
    return math.sqrt(moved / whole) if whole else math.nan


def compare_concept_vectors(
    original: Checkpoint, unlearned: Checkpoint, layer: int, dim: int
) -> dict[str, Any]:
    """The concept vector of one checkpoint beside the other's.

    Returns:
        layer, dim, relative_change, cosine, l2 (norm of the difference), jaccard (the share of
        common ones among both vectors' TOP_TOKENS tokens). A ratio to a zero vector is NaN.
    """
    layers, width = original.layers, int(original.config.intermediate_size)
    if not (0 <= layer < layers and 0 <= dim < width):
        raise StudyError(
            f"the concept file says Layer {layer} and Dim {dim}, counted from 0, but "
            f"{original.folder} has {layers} layers of {width} value vectors; correct them, or "
            "leave out both"
        )
    vectors, heads = [], []
    for checkpoint in (original, unlearned):
        [down] = checkpoint.read_parts(layer, ["value_vectors"], torch.float32).values()
        vectors.append(down[:, dim].double())
        tied = tied_tensors(empty_model(checkpoint.config, torch.float32))
        heads.append(checkpoint.read([tied.get(_HEAD, _HEAD)]).popitem()[1])
    before, after = vectors
    rows = min(len(head) for head in heads)
    tops = [
        set(top_tokens(head[:rows], vector)) for head, vector in zip(heads, vectors, strict=True)
    ]
    return {
        "layer": layer,
        "dim": dim,
        "relative_change": relative_change(before[None], after[None]),
        "cosine": float(before @ after / (before.norm() * after.norm())),
        "l2": float((after - before).norm()),
        "jaccard": len(tops[0] & tops[1]) / len(tops[0] | tops[1]),
    }


def top_tokens(head: Tensor, vector: Tensor) -> list[int]:
    """The TOP_TOKENS tokens that a vector promotes most, without the final norm, as published."""
    logits = torch.cat([part.to(vector.dtype) @ vector for part in head.split(_ROWS_AT_ONCE)])
    ids: list[int] = logits.topk(min(TOP_TOKENS, len(head))).indices.tolist()
    return ids
