"""Attention over a token tree, text by text.

A tree's mask hides most pairs of its tokens: with six texts in one sequence, a token attends to one
text only. So attention is computed once per text: the queries are the tokens that the text adds to
the tree, keys and values are all tokens of the text. transformers takes such a function by name,
and its models use it where they would use fused attention.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

Index = slice | Tensor
IMPLEMENTATION = "sdpa_by_text"  # the name under which transformers knows `attend_by_text`
# The keyword argument that has, per text, the queries that are its own, in their order, and the
# keys that they attend to, as indices. Of a whole tree these are `TokenTree.parts`. Layers pass
# arguments that they do not know to their attention.
TREE_PARTS = "tree_parts"

# The longest text, in tokens, whose attention is two plain products. Fused attention saves memory
# that grows with the square of a text's length; on texts as short as a question and its answer it
# saves little, and where heads share keys its CPU kernel takes twice the time.
LONGEST_IN_TWO_PRODUCTS = 256
# Arguments of transformers that two plain products do not take into account, where they are given.
BEYOND_TWO_PRODUCTS = ("softcap", "position_bias", "s_aux")


def attend_by_text(
    module: Any, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, **keywords: Any
) -> tuple[Tensor, None]:
    """Attention over the texts of a token tree; without a tree, transformers' fused attention.

    Args:
        query: (rows, heads, queries, width).
        key, value: (rows, heads or fewer, keys, width); of fewer, several query heads share one.
        mask: (1, 1, queries, keys), True where a key is attended to.
        keywords: TREE_PARTS if a tree is read, `scaling`, and whatever else transformers gives.

    Returns:
        (rows, queries, heads, width), and no attention weights.
    """
    parts: Sequence[tuple[slice, Index]] | None = keywords.pop(TREE_PARTS, None)
    if parts is None or mask is None:
        return sdpa_attention_forward(module, query, key, value, mask, **keywords)
    is_beyond = any(keywords.get(name) is not None for name in BEYOND_TWO_PRODUCTS)
    outputs = []
    for own, path in parts:
        keys = key[:, :, path]
        of_text = (query[:, :, own], keys, value[:, :, path], mask[:, :, own][..., path])
        if is_beyond or keys.shape[2] > LONGEST_IN_TWO_PRODUCTS:
            output, _ = sdpa_attention_forward(module, *of_text, **keywords)
        else:
            output = attend(*of_text, keywords["scaling"])
        outputs.append(output)
    return torch.cat(outputs, dim=1), None


def attend(query: Tensor, key: Tensor, value: Tensor, mask: Tensor, scaling: float) -> Tensor:
    """Attention in two products, the first one and the softmax in float32 as in fused attention.

    Args:
        query: (rows, heads, tokens, width).
        key, value: (rows, as many heads or fewer, keys, width).
        mask: (1, 1, tokens, keys), True where a token attends to a key: to one at least.
        scaling: the factor of a query's product with a key.

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


def use_tree_attention(model: Any) -> None:
    """Let a model attend text by text, unless it has no fused attention (as with soft caps)."""
    if model.config._attn_implementation == "sdpa":
        model.set_attn_implementation(IMPLEMENTATION)


def uses_tree_attention(model: Any) -> bool:
    """Whether a model attends text by text."""
    return bool(model.config._attn_implementation == IMPLEMENTATION)


def as_index(indices: Sequence[int], device: torch.device) -> Index:
    """Indices in ascending order: a slice, which copies nothing, if they are consecutive."""
    if indices[-1] - indices[0] == len(indices) - 1:
        return slice(indices[0], indices[-1] + 1)
    return torch.tensor(indices, device=device)


AttentionInterface.register(IMPLEMENTATION, attend_by_text)
AttentionMaskInterface.register(IMPLEMENTATION, sdpa_mask)
