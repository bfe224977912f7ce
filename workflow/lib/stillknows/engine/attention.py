"""Attention over a token tree, text by text.

A tree's mask hides most pairs of its tokens: with six texts in one sequence, a token attends to one
text only. So attention is computed per text: the queries are the tokens that the text adds to the
tree, keys and values are all tokens of the text. Texts of the same shape go through one call.
transformers takes such a function by name, and its models use it where they would use fused
attention.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from stillknows.engine.token_tree import Part

IMPLEMENTATION = "sdpa_by_text"  # the name under which transformers knows `attend_by_text`
# The keyword argument that has the texts' `TextGroup`s. Layers pass arguments that they do not know
# to their attention.
TREE_PARTS = "tree_parts"
TEXTS_PER_CALL = 8  # more gain little, and a call copies the keys of all of its texts


class UnpatchedKeys:
    """The unpatched run's keys and values, for other runs of the same tokens to attend to.

    Of one layer at a time, so other runs pass a layer before the unpatched run passes the next.
    `keep` and `extend` take the place of `update` of the layers' cache.

    Attributes:
        kept: the keys and values of the layer just passed, (1, heads, tokens, width) each.
    """

    kept: tuple[Tensor, Tensor]

    def keep(self, keys: Tensor, values: Tensor, *_layer: object) -> tuple[Tensor, Tensor]:
        """Keep those of the unpatched run."""
        self.kept = keys, values
        return self.kept

    def extend(self, keys: Tensor, values: Tensor, *_layer: object) -> tuple[Tensor, ...]:
        """Those that were kept, and then those of a run's own tokens, along the tokens."""
        kept = (states.expand(len(keys), -1, -1, -1) for states in self.kept)
        return tuple(torch.cat(both, 2) for both in zip(kept, (keys, values), strict=True))


@dataclass(frozen=True)
class Tokens:
    """Equally many tokens of some texts, by their indices in the tree, (texts, tokens)."""

    indices: Tensor

    def take(self, states: Tensor) -> Tensor:
        """Their part of (rows, heads, all tokens, width): (rows, heads, texts, tokens, width)."""
        taken: Tensor = states[:, :, self.flat].unflatten(2, self.indices.shape)
        return taken

    @cached_property
    def flat(self) -> slice | Tensor:
        """To index with, text by text: a slice, which copies nothing, where consecutive."""
        flat = self.indices.flatten()
        first = int(flat[0]) if len(flat) else 0
        if torch.equal(flat, torch.arange(first, first + len(flat), device=flat.device)):
            return slice(first, first + len(flat))
        return flat


@dataclass(frozen=True)
class TextGroup:
    """Texts of a tree with equally many tokens of their own (queries), and equally many keys.

    Attributes:
        own: the queries.
        path: the keys: a text's own tokens attend to no others.
        unpatched: the keys and values before the texts' own ones, where these are another run's.
    """

    own: Tokens
    path: Tokens
    unpatched: UnpatchedKeys | None = None

    def attended(self, *states: Tensor) -> list[list[Tensor]]:
        """What they attend to, of keys and of values (rows, heads, tokens, width).

        Returns:
            Of each one part after the other, (rows, heads, texts, keys, width); a part that is the
            same for all rows has one row.
        """
        if self.unpatched is None:
            return [[self.path.take(tensor)] for tensor in states]
        pairs = zip(self.unpatched.kept, states, strict=True)
        return [[self.before.take(kept), self.own.take(tensor)] for kept, tensor in pairs]

    @cached_property
    def before(self) -> Tokens:
        """The keys of the unpatched run."""
        return Tokens(self.path.indices[:, : -self.own.indices.shape[1]])


def group_texts(
    parts: Sequence[Part], device: torch.device, unpatched: UnpatchedKeys | None = None
) -> list[TextGroup]:
    """The texts of a tree by their shapes, as many at a time as go through one call."""
    by_shape: dict[tuple[int, int], list[Part]] = {}
    for own, path in parts:
        by_shape.setdefault((len(own), len(path)), []).append((own, path))
    groups = []
    for texts in by_shape.values():
        queries = torch.tensor([[*own] for own, _ in texts], device=device).split(TEXTS_PER_CALL)
        keys = torch.tensor([[*path] for _, path in texts], device=device).split(TEXTS_PER_CALL)
        groups += [
            TextGroup(Tokens(own), Tokens(path), unpatched)
            for own, path in zip(queries, keys, strict=True)
        ]
    return groups


def attend_by_text(
    module: Any, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, **keywords: Any
) -> tuple[Tensor, None]:
    """Attention over the texts of a token tree; without TREE_PARTS, transformers' fused attention.

    Args:
        query: (rows, heads, queries, width).
        key, value: (rows, heads or fewer, keys, width); of fewer, several query heads share one.
        mask: (1, 1, queries, keys), True where a key is attended to.
        keywords: TREE_PARTS, `scaling`, and whatever else transformers gives.

    Returns:
        (rows, queries, heads, width), and no attention weights.
    """
    groups: Sequence[TextGroup] | None = keywords.pop(TREE_PARTS, None)
    if groups is None or mask is None:
        return sdpa_attention_forward(module, query, key, value, mask, **keywords)
    rows, heads, tokens, _ = query.shape
    output = query.new_empty(rows, tokens, heads, value.shape[-1])
    for group in groups:
        keys, values = group.attended(key, value)
        group_mask = mask[0, 0, group.own.indices[:, :, None], group.path.indices[:, None]]
        by_text = attend(group.own.take(query), keys, values, group_mask, keywords["scaling"])
        output[:, group.own.flat] = by_text.flatten(1, 2)
    return output, None


def attend(
    query: Tensor, keys: Sequence[Tensor], values: Sequence[Tensor], mask: Tensor, scaling: float
) -> Tensor:
    """Attention in two products, the first one and the softmax in float32 as in fused attention.

    Args:
        query: (rows, heads, texts, tokens, width).
        keys, values: part by part as `TextGroup.attended` returns them; where there are fewer heads
            than of queries, several query heads share one.
        mask: (texts, tokens, keys), True where a token attends to a key: to one at least.

    Returns:
        (rows, texts, tokens, heads, width).
    """
    tokens, sharing = query.shape[3], query.shape[1] // keys[0].shape[1]
    # Queries of all heads that share a head of keys are rows of one product.
    queries = query.float().unflatten(1, (-1, sharing)).transpose(2, 3).flatten(3, 4)
    products = [product(queries, part.float().transpose(3, 4)) for part in keys]
    joined = products[0] if len(products) == 1 else torch.cat(products, dim=4)
    scores = joined.unflatten(3, (sharing, tokens))
    scores = scores.mul_(scaling).masked_fill_(~mask[:, None], -torch.inf)
    weights = scores.softmax(-1).to(query.dtype).flatten(3, 4)
    part_weights = weights.split([part.shape[3] for part in values], dim=4)
    # Parts are added in float32, as the terms of a single product are.
    dtype = query.dtype if len(values) == 1 else torch.float32
    summands = [
        product(part.to(dtype), value.to(dtype))
        for part, value in zip(part_weights, values, strict=True)
    ]
    output = reduce(torch.add, summands).to(query.dtype).unflatten(3, (sharing, tokens))
    by_head: Tensor = output.permute(0, 2, 4, 1, 3, 5).flatten(3, 4)
    return by_head


def product(left: Tensor, right: Tensor) -> Tensor:
    """Matrix products of (rows, heads, texts, ...) tensors; `right` may have one row for all."""
    rows = len(left)
    if len(right) == rows:
        return left @ right
    flat = left.permute(1, 2, 0, 3, 4).flatten(2, 3) @ right[0]
    by_row: Tensor = flat.unflatten(2, (rows, -1)).permute(2, 0, 1, 3, 4)
    return by_row


def use_tree_attention(model: Any) -> bool:
    """Let a model attend text by text; False where it has no fused attention (soft caps)."""
    is_fused: bool = model.config._attn_implementation == "sdpa"
    if is_fused:
        model.set_attn_implementation(IMPLEMENTATION)
    return is_fused


AttentionInterface.register(IMPLEMENTATION, attend_by_text)
AttentionMaskInterface.register(IMPLEMENTATION, sdpa_mask)
