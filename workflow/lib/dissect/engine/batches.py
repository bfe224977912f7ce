"""Texts of unequal length as padded batches. Causal attention never looks ahead, so right padding
needs no mask and leaves every real token exact."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

# Longest over shortest text of one batch. It follows from the texts alone, never from a memory
# budget, so the budget changes no bit of a result.
STRETCH = 1.25


@dataclass(frozen=True)
class Batch:
    """Texts of like length.

    Attributes:
        members: which texts, by their number.
        lengths: their lengths in tokens, without padding.
    """

    members: tuple[int, ...]
    lengths: tuple[int, ...]

    @property
    def tokens(self) -> int:
        """The padded length."""
        return max(self.lengths)

    def pad_ids(self, texts: Sequence[Sequence[int]], device: torch.device) -> Tensor:
        """Token ids, (texts, tokens), padded with id 0: nothing real ever attends to it."""
        ids = torch.zeros(len(self.members), self.tokens, dtype=torch.long)
        for row, member in enumerate(self.members):
            ids[row, : self.lengths[row]] = torch.tensor(texts[member])
        return ids.to(device)


def batches_of(lengths: Sequence[int]) -> list[Batch]:
    """Group texts whose longest is at most STRETCH times their shortest, short ones first."""
    order = sorted(range(len(lengths)), key=lambda number: (lengths[number], number))
    groups: list[list[int]] = []
    for number in order:
        if groups and lengths[number] <= STRETCH * lengths[groups[-1][0]]:
            groups[-1].append(number)
        else:
            groups.append([number])
    return [Batch(tuple(group), tuple(lengths[number] for number in group)) for group in groups]
