"""The concept vector: the one value vector that holds a concept, before and after.

Concept files name it by Layer and Dim: column Dim of the down projection of layer Layer
(ConceptVectors, evaluate_util.py: cosine_similarity, norm_distance, jaccard_similarity).
"""

from typing import Any

import torch
from torch import Tensor

from stillknows.errors import StudyError
from stillknows.models.reader import Checkpoint, empty_model, tied_tensors
from stillknows.models.weight_changes import relative_change

TOP_TOKENS = 200  # as published
_CPU = torch.device("cpu")
_HEAD = "lm_head.weight"
_ROWS_AT_ONCE = 1024  # of the output embedding, in float64


def compare_concept_vectors(
    original: Checkpoint, unlearned: Checkpoint, layer: int, dim: int
) -> dict[str, Any]:
    """The concept vector of one checkpoint beside the other's.

    Returns:
        layer, dim, relative_change, cosine, l2 (the norm of the difference) and jaccard, the share
        of common ones among both vectors' TOP_TOKENS tokens. A ratio to a zero vector is NaN.

    Raises:
        StudyError: if the model has no such layer or value vector.
    """
    layers, width = original.layers, int(original.config.intermediate_size)
    if not (0 <= layer < layers and 0 <= dim < width):
        raise StudyError(
            f"the concept file says Layer {layer} and Dim {dim}, counted from 0, but "
            f"{original.folder} has {layers} layers of {width} value vectors; correct them, or "
            "leave out both"
        )
    before, after = (
        checkpoint.read_value_vectors(layer, torch.float32, _CPU)[:, dim].double()
        for checkpoint in (original, unlearned)
    )
    rows = min(one.shapes[_head_name(one)][0] for one in (original, unlearned))
    tops = set(top_tokens(original, before, rows)), set(top_tokens(unlearned, after, rows))
    return {
        "layer": layer,
        "dim": dim,
        "relative_change": relative_change(before[None], after[None]),
        "cosine": float(before @ after / (before.norm() * after.norm())),
        "l2": float((after - before).norm()),
        "jaccard": len(tops[0] & tops[1]) / len(tops[0] | tops[1]),
    }


def top_tokens(checkpoint: Checkpoint, vector: Tensor, rows: int) -> list[int]:
    """The TOP_TOKENS of the first `rows` tokens that a value vector promotes most.

    By its product with the checkpoint's own output embedding, without the final norm, as published.
    """
    name = _head_name(checkpoint)
    head = checkpoint.read([name])[name][:rows]
    logits = torch.cat([part.to(vector.dtype) @ vector for part in head.split(_ROWS_AT_ONCE)])
    ids: list[int] = logits.topk(min(TOP_TOKENS, rows)).indices.tolist()
    return ids


def _head_name(checkpoint: Checkpoint) -> str:
    """The parameter whose values the output embedding has: its own, or the one it is tied to."""
    return tied_tensors(empty_model(checkpoint.config, torch.float32)).get(_HEAD, _HEAD)
