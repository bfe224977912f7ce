"""Texts of unequal length as one sequence, without padding and without reading anything twice.

The texts of a concept begin alike: a chat template's system message, `Question:`. Attention is
causal, so their states agree as far as their tokens do. A pack holds that common prefix once, and
behind it what each text has of its own; a mask lets every text see the prefix and itself. Each
token keeps the position that it has in its text.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

# Every token of a pack is compared with every other, so longer packs spend more on attention: here
# less than a tenth of a layer at 135M, a hundredth at 7B. It is a constant, and packs follow from
# the texts alone: no memory budget changes a bit of a result.
PACK_TOKENS = 256
# A processor computes the ends of unaligned vectors by other instructions, which round differently.
# With whole vectors per pack, the number of rows in one call changes no bit of any of them.
VECTOR = 16
_PREFIX = -1  # the owner of tokens that all texts share


@dataclass(frozen=True)
class Pack:
    """Some texts as one sequence.

    Attributes:
        members: which texts, by their number.
        prefix: how many tokens they share.
        ids: token ids of the sequence.
        positions: each token's position in its text.
        owners: each token's text, by its place in `members`; -1 for the prefix. Tokens that only
            fill the last vector belong to a text of their own, which nobody asks for.
    """

    members: tuple[int, ...]
    prefix: int
    ids: tuple[int, ...]
    positions: tuple[int, ...]
    owners: tuple[int, ...]

    def places(self, member: int, positions: range) -> list[int]:
        """Where a text's positions lie in the sequence."""
        own = self.owners.index(self.members.index(member)) if positions.stop > self.prefix else 0
        return [
            position if position < self.prefix else own + position - self.prefix
            for position in positions
        ]

    def mask(self, causal: Tensor | None) -> Tensor:
        """Who sees whom, made of a model's own mask for one plain sequence.

        Args:
            causal: (1, 1, length, length), True or 0 where a position sees another; its sliding
                windows hold here too, since they go by position. None: every earlier position.

        Returns:
            (1, 1, tokens, tokens), in the same form.
        """
        positions, owners = torch.tensor(self.positions), torch.tensor(self.owners)
        sees = (owners[None] == _PREFIX) | (owners[None] == owners[:, None])
        if causal is None:
            return (sees & (positions[None] <= positions[:, None]))[None, None]
        sees, positions = sees.to(causal.device), positions.to(causal.device)
        gathered = causal[:, :, positions][..., positions]
        never = False if causal.dtype == torch.bool else torch.finfo(causal.dtype).min
        return gathered.masked_fill(~sees, never)


def packs_of(texts: Sequence[Sequence[int]]) -> list[Pack]:
    """Put token ids of texts, in their order, into packs of like size, about PACK_TOKENS each."""
    prefix = common_prefix(texts)
    own = [len(ids) - prefix for ids in texts]
    count = -(-sum(own) // max(1, PACK_TOKENS - prefix))
    groups: list[list[int]] = []
    filled = 0
    for number, tokens in enumerate(own):
        # A text goes where its middle falls, if the texts are cut into `count` equal parts.
        if (filled + tokens / 2) * count >= len(groups) * sum(own):
            groups.append([])
        groups[-1].append(number)
        filled += tokens
    return [_pack(texts, group, prefix) for group in groups]


def common_prefix(texts: Sequence[Sequence[int]]) -> int:
    """How many tokens all texts share at their beginning."""
    shared = 0
    for column in zip(*texts, strict=False):
        if len(set(column)) > 1:
            break
        shared += 1
    return shared


def _pack(texts: Sequence[Sequence[int]], group: Sequence[int], prefix: int) -> Pack:
    ids, positions = list(texts[group[0]][:prefix]), list(range(prefix))
    owners = [_PREFIX] * prefix
    for place, number in enumerate(group):
        own = texts[number][prefix:]
        ids += own
        positions += range(prefix, prefix + len(own))
        owners += [place] * len(own)
    fill = -len(ids) % VECTOR
    ids += [0] * fill
    positions += range(fill)
    owners += [len(group)] * fill
    return Pack(tuple(group), prefix, tuple(ids), tuple(positions), tuple(owners))
