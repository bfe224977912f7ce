"""The unpatched run's keys and values, to which patched runs of a few tokens attend."""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from dissect.engine.attention import EqualTexts, Index, as_index, select


class KeptKeys:
    """Takes the place of the layers' cache in the unpatched run.

    It holds the keys and values of one layer at a time, so runs pass a layer before the unpatched
    run passes the next.

    Attributes:
        kept: the keys and values of the layer just passed, (1, heads, tokens, width) each.
    """

    def __init__(self) -> None:
        self.kept: tuple[Tensor, ...] = ()

    def update(self, keys: Tensor, values: Tensor, *_layer: object) -> tuple[Tensor, Tensor]:
        """What attention reads, (rows, heads, tokens, width) each."""
        self.kept = keys, values
        return keys, values


class ExtendedKeys:
    """The keys and values of the unpatched run, followed by those of a run's own tokens."""

    def __init__(self, unpatched: KeptKeys) -> None:
        self._unpatched = unpatched

    def update(self, keys: Tensor, values: Tensor, *_layer: object) -> tuple[Tensor, Tensor]:
        """What attention reads, (rows, heads, tokens of the tree and of a run, width) each."""
        rows = len(keys)
        both = zip(self._unpatched.kept, (keys, values), strict=True)
        extended = [torch.cat([kept.expand(rows, -1, -1, -1), own], 2) for kept, own in both]
        return extended[0], extended[1]


@dataclass(frozen=True)
class TextsOfRuns(EqualTexts):
    """Texts of patched runs, whose keys are the unpatched run's, and then their own.

    Attributes:
        unpatched: the keys and values that come first in `path`.
    """

    unpatched: KeptKeys

    def keys_of(self, states: Tensor) -> Tensor:
        """What they attend to; `states` are the keys of the runs' own tokens."""
        return self._after(self.unpatched.kept[0], states)

    def values_of(self, states: Tensor) -> Tensor:
        """What they attend to; `states` are the values of the runs' own tokens."""
        return self._after(self.unpatched.kept[1], states)

    def _after(self, kept: Tensor, states: Tensor) -> Tensor:
        of_unpatched = select(kept, self.before_index, self.before)
        of_rows = of_unpatched.expand(len(states), -1, -1, -1, -1)
        return torch.cat([of_rows, self.own_of(states)], dim=3)

    @property
    def before(self) -> Tensor:
        """The keys of the unpatched run, (texts, keys)."""
        return self.path[:, : self.path.shape[1] - self.own.shape[1]]

    @cached_property
    def before_index(self) -> Index:
        """`before` to select with, text by text."""
        return as_index(self.before)
