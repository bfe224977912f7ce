"""Attention over a token tree, text by text: a text's own tokens with their beginning.

A tree's mask hides most of it: of six texts in one sequence, a token attends to one. So attention
is computed once per text, with that text's queries, keys, values and mask. transformers takes such
a function by name, and its models use it where they would use fused attention.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

Index = slice | Tensor
NAME = "sdpa_in_parts"
ARGUMENT = "tree_parts"  # layers hand what they do not know on to their attention

# In tokens. Fused attention saves memory that grows with the square of a text's length; on texts as
# short as a question and its answer it saves little, and where heads share keys its CPU kernel
# takes twice the time.
LONG = 256


def attend_in_parts(
    module: Any, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, **keywords: Any
) -> tuple[Tensor, None]:
    """Attention over the texts of a token tree; if none is given, transformers' fused attention.

    Args:
        query: (rows, heads, tokens, width).
        key, value: the same; each of their heads may serve several of the queries'.
        mask: (1, 1, tokens, tokens), the tree's, True where a position is attended to.
        keywords: `tree_parts` if a tree is read, `scaling`, and whatever else transformers gives.

    Returns:
        (rows, tokens, heads, width), and no attention weights.
    """
    parts: Sequence[tuple[slice, Index]] | None = keywords.pop(ARGUMENT, None)
    if parts is None or mask is None:
        return sdpa_attention_forward(module, query, key, value, mask, **keywords)
    outputs = []
    for own, seen in parts:
        keys = key[:, :, seen]
        part = (query[:, :, own], keys, value[:, :, seen], mask[:, :, own][..., seen])
        if keys.shape[2] > LONG:
            output, _ = sdpa_attention_forward(module, *part, **keywords)
        else:
            output = attend(*part, keywords["scaling"])
        outputs.append(output)
    return torch.cat(outputs, dim=1), None


def attend(query: Tensor, key: Tensor, value: Tensor, mask: Tensor, scaling: float) -> Tensor:
    """Attention in two products; the first and the softmax in float32, as fused attention has them.

    Args:
        query: (rows, heads, tokens, width).
        key, value: (rows, fewer or as many heads, seen, width).
        mask: (1, 1, tokens, seen), True where a position is seen; each sees one at least.
        scaling: what a query's product with a key is multiplied by.

    Returns:
        (rows, tokens, heads, width).
    """
    rows, heads, tokens, _ = query.shape
    # Queries of all heads that share a head of keys are rows of one product.
    product = (rows, key.shape[1], heads // key.shape[1] * tokens, -1)
    scores = query.float().reshape(product) @ key.float().transpose(2, 3)
    scores = scores.view(rows, heads, tokens, -1).mul_(scaling).masked_fill_(~mask, -torch.inf)
    weights = scores.softmax(-1).to(value.dtype).view(product)
    return (weights @ value).view(rows, heads, tokens, -1).transpose(1, 2)


def use_parts(model: Any) -> None:
    """Let a model attend in parts, if its attention is fused; others, as with soft caps, stay."""
    if model.config._attn_implementation == "sdpa":
        model.set_attn_implementation(NAME)


def uses_parts(model: Any) -> bool:
    """Whether a model attends in parts."""
    implementation: str = model.config._attn_implementation
    return implementation == NAME


def as_index(indices: Sequence[int], device: torch.device) -> Index:
    """Indices of a tree's tokens: a slice, which copies nothing, if they are consecutive."""
    if indices[-1] - indices[0] == len(indices) - 1:
        return slice(indices[0], indices[-1] + 1)
    return torch.tensor(indices, device=device)


AttentionInterface.register(NAME, attend_in_parts)
AttentionMaskInterface.register(NAME, sdpa_mask)
