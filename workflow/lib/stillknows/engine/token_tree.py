"""Texts of unequal length as one sequence; a shared beginning is read once.

Attention is causal, so the states of texts agree as far as their tokens do. In a token tree a token
is once for all texts that have it after the same beginning; it keeps its position in them.
Attention goes text by text: the queries are the tokens that a text adds, the keys all of its
tokens.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from typing import Any, TypeVar

import torch
from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from stillknows.texts.spans import Text

T = TypeVar("T")
Ids = Sequence[int]
# The tokens that a text adds to a tree, and all tokens of that text.
Part = tuple[range, Sequence[int]]

# Larger trees gain nothing: products are large enough. It is a constant, so that trees follow from
# the texts alone, on every machine.
TREE_TOKENS = 320


@dataclass(frozen=True)
class TokenTree:
    """Some texts as a tree of tokens, in one sequence.

    texts: their numbers. ids: token ids of the sequence. paths: for each text, the indices of its
    tokens in the sequence, in their order.
    """

    texts: tuple[int, ...]
    ids: tuple[int, ...]
    paths: tuple[tuple[int, ...], ...]

    @property
    def positions(self) -> list[int]:
        return self.flatten([range(len(path)) for path in self.paths])

    def flatten(self, values: Sequence[Sequence[T]]) -> list[T]:
        """One value per token of the sequence, from one per token of each text."""
        flat: dict[int, T] = {}
        for path, text_values in zip(self.paths, values, strict=True):
            flat.update(zip(path, text_values, strict=True))
        return [flat[index] for index in range(len(self.ids))]

    @property
    def parts(self) -> list[Part]:
        """The tokens that each text adds to the sequence, in order, and all tokens of that text.

        They stand at the end of the sequence. A text that adds none has no part.
        """
        parts: list[Part] = []
        end = 0
        for path in self.paths:
            own = range(end, max(end, path[-1] + 1))
            end = own.stop
            if own:
                parts.append((own, path))
        return parts

    def at(self, text: int, positions: range) -> list[int]:
        path = self.paths[self.texts.index(text)]
        return [path[position] for position in positions]

    def compared(self, texts: Sequence[Text]) -> list[int]:
        """The indices of compared positions, text by text; shared tokens are in it twice."""
        return [index for text in self.texts for index in self.at(text, texts[text].compared)]

    def mask(self, causal: Tensor | None) -> Tensor:
        """Which token attends to which, (1, 1, tokens, tokens), from a model's own mask.

        causal: (1, 1, length, length), True or 0 where a position attends to another (its sliding
        windows go by position, so they hold here too). None: all up to itself.
        """
        attends = torch.zeros(len(self.ids), len(self.ids), dtype=torch.bool)
        for path in self.paths:
            index = torch.tensor(path)
            attends[index[:, None], index] = index[:, None] >= index
        if causal is None:
            return attends[None, None]
        positions = torch.tensor(self.positions, device=causal.device)
        by_position = causal[:, :, positions][..., positions]
        never = False if causal.dtype == torch.bool else torch.finfo(causal.dtype).min
        return by_position.masked_fill(~attends.to(causal.device), never)


def token_trees(texts: Sequence[Ids], size: int | None = None) -> list[TokenTree]:
    """Put texts, in their order, into token trees of about `size` tokens (None: TREE_TOKENS)."""
    together = token_tree(texts, range(len(texts)))
    count = -(-len(together.ids) // (size or TREE_TOKENS))
    total = sum(map(len, texts))
    groups: list[list[int]] = []
    before = 0
    for number, ids in enumerate(texts):
        # A text goes where its middle falls, if all of them are cut into `count` equal parts.
        if (before + len(ids) / 2) * count >= len(groups) * total:
            groups.append([])
        groups[-1].append(number)
        before += len(ids)
    return [token_tree(texts, group) for group in groups]


def token_tree(
    texts: Sequence[Ids], members: Sequence[int], labels: Sequence[Sequence[Hashable]] | None = None
) -> TokenTree:
    """The texts of these numbers in one token tree; shared tokens have equal `labels`, too."""
    ids: list[int] = []
    # (index of the token before, token id, its label): its index
    index_of: dict[tuple[int, int, Hashable], int] = {}
    paths = []
    for text in members:
        path: list[int] = []
        own_labels = labels[text] if labels else [None] * len(texts[text])
        for token, label in zip(texts[text], own_labels, strict=True):
            step = (path[-1] if path else -1, token, label)
            if step not in index_of:
                index_of[step] = len(ids)
                ids.append(token)
            path.append(index_of[step])
        paths.append(tuple(path))
    return TokenTree(tuple(members), tuple(ids), tuple(paths))


IMPLEMENTATION = "sdpa_by_text"  # the name under which transformers knows `attend_by_text`
# The keyword argument that has the texts' `TextGroup`s. Layers pass arguments that they do not know
# to their attention.
TREE_PARTS = "tree_parts"
TEXTS_PER_CALL = 8  # more gain little, and a call copies the keys of all of its texts


class UnpatchedKeys:
    """The unpatched run's keys and values, for other runs of the same tokens to attend to.

    `kept`: of the layer just passed, (1, heads, tokens, width) each, so other runs pass a layer
    before the unpatched run passes the next. `keep` and `extend` stand in for `update` of the
    layers' cache.
    """

    kept: tuple[Tensor, Tensor]

    def keep(self, keys: Tensor, values: Tensor, *_layer: object) -> tuple[Tensor, Tensor]:
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

    own: the queries. path: the keys: a text's own tokens attend to no others. unpatched: the keys
    and values before the texts' own ones, where these are another run's.
    """

    own: Tokens
    path: Tokens
    unpatched: UnpatchedKeys | None = None

    def attended(self, *states: Tensor) -> list[list[Tensor]]:
        """What they attend to, of keys and of values (rows, heads, tokens, width), part by part.

        (rows, heads, texts, keys, width) each; a part that is the same for all rows has one row.
        """
        if self.unpatched is None:
            return [[self.path.take(tensor)] for tensor in states]
        pairs = zip(self.unpatched.kept, states, strict=True)
        return [[self.before.take(kept), self.own.take(tensor)] for kept, tensor in pairs]

    @cached_property
    def before(self) -> Tokens:
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
        keys, values: as `TextGroup.attended` returns them, of as many heads or fewer.
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
