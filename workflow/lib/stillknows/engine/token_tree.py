"""Texts of unequal length as one sequence, without padding; a shared beginning is read once.

The texts of a concept begin alike: a chat template's system message, `Question: What is the`.
Attention is causal, so their states agree as far as their tokens do. A token tree holds such texts
as one sequence: a token is in it once for all texts that have it after the same beginning, it keeps
the position that it has in them, and a mask lets it attend to itself and its own beginning only.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

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

    Attributes:
        texts: which texts, by their number.
        ids: token ids of the sequence.
        paths: for each text, the indices of its tokens in the sequence, in their order.
    """

    texts: tuple[int, ...]
    ids: tuple[int, ...]
    paths: tuple[tuple[int, ...], ...]

    @property
    def positions(self) -> list[int]:
        """Each token's position in its texts."""
        return self.flatten([range(len(path)) for path in self.paths])

    def flatten(self, values: Sequence[Sequence[T]]) -> list[T]:
        """One value per token of the sequence, from one per token of each text.

        Texts that share a token agree on its value.
        """
        flat: dict[int, T] = {}
        for path, text_values in zip(self.paths, values, strict=True):
            flat.update(zip(path, text_values, strict=True))
        return [flat[index] for index in range(len(self.ids))]

    @property
    def parts(self) -> list[Part]:
        """The tokens that each text adds to the sequence, in order, and all tokens of that text.

        From the token on where a text differs from all before it, its tokens are new, and stand at
        the end of the sequence. A text that adds none has no part.
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
        """The indices of some of a text's positions."""
        path = self.paths[self.texts.index(text)]
        return [path[position] for position in positions]

    def compared(self, texts: Sequence[Text]) -> list[int]:
        """The indices of compared positions, text by text; shared tokens are in it twice."""
        return [index for text in self.texts for index in self.at(text, texts[text].compared)]

    def mask(self, causal: Tensor | None) -> Tensor:
        """Which token attends to which, from a model's own mask for one plain sequence.

        Args:
            causal: (1, 1, length, length), True or 0 where a position attends to another; its
                sliding windows hold here too, since they go by position. None: all up to itself.

        Returns:
            (1, 1, tokens, tokens), in the same form.
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
    """The texts of these numbers in one token tree.

    Args:
        labels: per text, something per token: texts then share a token only as far as their labels
            agree as well.
    """
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
