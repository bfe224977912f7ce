"""The unpatched run's keys and values, to which patched runs of a few tokens attend."""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from dissect.engine.attention import EqualTexts, Tokens


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
        unpatched: the keys and values that come first in `path`: the same for all runs.
    """

    unpatched: KeptKeys

    def keys_of(self, states: Tensor) -> list[Tensor]:
        """What they attend to; `states` are the keys of the runs' own tokens."""
        return [self.before.of(self.unpatched.kept[0]), self.own.of(states)]

    def values_of(self, states: Tensor) -> list[Tensor]:
        """What they attend to; `states` are the values of the runs' own tokens."""
        return [self.before.of(self.unpatched.kept[1]), self.own.of(states)]

    @cached_property
    def before(self) -> Tokens:
        """The keys of the unpatched run."""
        n_own = self.own.indices.shape[1]
        return Tokens(self.path.indices[:, : self.path.indices.shape[1] - n_own])
