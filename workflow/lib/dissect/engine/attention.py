"""Attention over a pack, part by part: a text's own tokens with the beginning that they see.

A pack's mask hides most of it: of six texts in one sequence, a token sees one. So transformers' own
attention function is called once per text, with that text's queries, keys, values and mask.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

NAME = "sdpa_in_parts"
Index = slice | Tensor
ARGUMENT = "pack_parts"  # layers hand what they do not know on to their attention


def attend_in_parts(
    module: Any, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, **keywords: Any
) -> tuple[Tensor, None]:
    """transformers' attention function for fused attention, over the parts of a pack.

    Args:
        query, key, value: (rows, heads, tokens, width).
        mask: (1, 1, tokens, tokens), the pack's.
        keywords: `pack_parts`, if a pack is read, and the function's own.

    Returns:
        (rows, tokens, heads, width), and no attention weights.
    """
    parts: Sequence[tuple[slice, Index]] | None = keywords.pop(ARGUMENT, None)
    if parts is None or mask is None:
        return sdpa_attention_forward(module, query, key, value, mask, **keywords)
    outputs = []
    for own, seen in parts:
        output, _ = sdpa_attention_forward(
            module,
            query[:, :, own],
            key[:, :, seen],
            value[:, :, seen],
            mask[:, :, own][..., seen],
            **keywords,
        )
        outputs.append(output)
    return torch.cat(outputs, dim=1), None


def use_parts(model: Any) -> None:
    """Let a model attend in parts, if its attention is fused; others, as with soft caps, stay."""
    if model.config._attn_implementation == "sdpa":
        model.set_attn_implementation(NAME)


def uses_parts(model: Any) -> bool:
    """Whether a model attends in parts."""
    implementation: str = model.config._attn_implementation
    return implementation == NAME


def as_index(places: Sequence[int], device: torch.device) -> Index:
    """Places of a pack as an index: a slice, which copies nothing, if they lie side by side."""
    if places[-1] - places[0] == len(places) - 1:
        return slice(places[0], places[-1] + 1)
    return torch.tensor(places, device=device)


AttentionInterface.register(NAME, attend_in_parts)
AttentionMaskInterface.register(NAME, sdpa_mask)
