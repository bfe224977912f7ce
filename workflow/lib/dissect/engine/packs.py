"""Texts of unequal length as one sequence, without padding and without reading anything twice.

The texts of a concept begin alike: a chat template's system message, `Question: What is the`.
Attention is causal, so their states agree as far as their tokens do. A pack holds such texts as a
tree: a token is there once for all texts that have it after the same beginning, it keeps the
position that it has in them, and a mask lets it see its own beginning only.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

Ids = Sequence[int]
Part = tuple[slice, tuple[int, ...]]  # a text's own tokens in a pack, and all of its tokens

# Longer packs gain nothing: products are large enough. It is a constant, and packs follow from the
# texts alone: no memory budget changes a bit of a result.
PACK_TOKENS = 320


@dataclass(frozen=True)
class Pack:
    """Some texts as a tree of tokens, laid out as one sequence.

    Attributes:
        members: which texts, by their number.
        ids: token ids of the sequence.
        paths: for each member, where its tokens lie in the sequence, in their order.
    """

    members: tuple[int, ...]
    ids: tuple[int, ...]
    paths: tuple[tuple[int, ...], ...]

    @property
    def positions(self) -> list[int]:
        """Each token's position in its texts."""
        return self.laid_out([range(len(path)) for path in self.paths])

    def laid_out(self, numbers: Sequence[Sequence[int]]) -> list[int]:
        """What each member has along its text, in the order of the sequence.

        Args:
            numbers: per member, one number per token; members that share a token agree on it.
        """
        found = [0] * len(self.ids)
        for path, along in zip(self.paths, numbers, strict=True):
            for place, number in zip(path, along, strict=True):
                found[place] = number
        return found

    @property
    def parts(self) -> list[Part]:
        """The tokens that each text adds to the sequence, in order, and all tokens of that text."""
        found: list[Part] = []
        end = 0
        for path in self.paths:
            own = slice(end, max(end, path[-1] + 1))
            end = own.stop
            if own.stop > own.start:
                found.append((own, path))
        return found

    def places(self, member: int, positions: range) -> list[int]:
        """Where some of a text's positions lie in the sequence."""
        path = self.paths[self.members.index(member)]
        return [path[position] for position in positions]

    def mask(self, causal: Tensor | None) -> Tensor:
        """Who sees whom, made of a model's own mask for one plain sequence.

        Args:
            causal: (1, 1, length, length), True or 0 where a position sees another; its sliding
                windows hold here too, since they go by position. None: every earlier position.

        Returns:
            (1, 1, tokens, tokens), in the same form.
        """
        sees = torch.zeros(len(self.ids), len(self.ids), dtype=torch.bool)
        for path in self.paths:
            for end, place in enumerate(path, start=1):
                sees[place, list(path[:end])] = True
        if causal is None:
            return sees[None, None]
        positions = torch.tensor(self.positions, device=causal.device)
        laid_out = causal[:, :, positions][..., positions]
        never = False if causal.dtype == torch.bool else torch.finfo(causal.dtype).min
        return laid_out.masked_fill(~sees.to(causal.device), never)


def packs_of(texts: Sequence[Ids]) -> list[Pack]:
    """Put token ids of texts, in their order, into packs of like size, about PACK_TOKENS each."""
    together = pack_of(texts, range(len(texts)))
    count = -(-len(together.ids) // PACK_TOKENS)
    total = sum(map(len, texts))
    groups: list[list[int]] = []
    before = 0
    for number, ids in enumerate(texts):
        # A text goes where its middle falls, if all of them are cut into `count` equal parts.
        if (before + len(ids) / 2) * count >= len(groups) * total:
            groups.append([])
        groups[-1].append(number)
        before += len(ids)
    return [pack_of(texts, group) for group in groups]


def pack_of(
    texts: Sequence[Ids], members: Sequence[int], marks: Sequence[Sequence[int]] | None = None
) -> Pack:
    """These texts in one pack.

    Args:
        marks: per text, a number per token, where that counts too: texts then share a token only
            as far as their marks agree as well.
    """
    ids: list[int] = []
    # (place of the token before, token id, its mark): its place
    places: dict[tuple[int, int, int], int] = {}
    paths = []
    for member in members:
        path: list[int] = []
        along = marks[member] if marks else [0] * len(texts[member])
        for token, mark in zip(texts[member], along, strict=True):
            step = (path[-1] if path else -1, token, mark)
            if step not in places:
                places[step] = len(ids)
                ids.append(token)
            path.append(places[step])
        paths.append(tuple(path))
    return Pack(tuple(members), tuple(ids), tuple(paths))
