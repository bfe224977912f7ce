"""Runs on their way through a model's layers, (1, tokens, hidden) each, in bounded calls."""

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor

from stillknows.engine.streamed_model import Layer, LayerInputs
from stillknows.errors import StudyError

log = logging.getLogger("stillknows")
T = TypeVar("T")

# Tokens through a layer. Larger calls gain nothing. On a CPU it is never halved: the number of rows
# of a product can change its last bits, and results must not depend on the memory there is.
TOKENS_PER_CALL = 4096
POSITIONS_PER_CALL = 1024  # through the head, whose outputs are as wide as the vocabulary


class MicroBatches:
    """Sends rows through a computation, a bounded number of tokens at a time.

    Where a device's memory does not hold a call, it is halved, as are later calls of this object.

    Attributes:
        tokens: of one call (rows x tokens); one row is sent even if it has more.
    """

    def __init__(self, tokens: int) -> None:
        self.tokens = tokens

    def __call__(self, compute: Callable[[Tensor], T], rows: Sequence[Tensor]) -> Iterator[T]:
        """One (rows, tokens, hidden) result after the other; `rows` are read as they are needed."""
        start = 0
        while start < len(rows):
            tokens = rows[start].shape[1]
            batch = torch.cat([*rows[start : start + max(1, self.tokens // tokens)]])
            failure = None
            try:
                result = compute(batch)
            except torch.OutOfMemoryError as error:
                failure = str(error)
            # Outside the handler the exception is gone, and with it the tensors of its frames.
            if failure is None:
                start += len(batch)
                yield result
                continue
            if len(batch) == 1:
                reason = failure.splitlines()[0]
                raise StudyError(
                    f"the memory of {batch.device} does not hold one run of {tokens} tokens; end "
                    f"other programs that use it, or choose another device ({reason})"
                )
            fewer = len(batch) // 2
            self.tokens = fewer * tokens
            log.warning(
                f"out of memory with {len(batch)} runs of {tokens} tokens in a call; "
                f"{fewer} per call from now on"
            )
            if batch.is_cuda:
                torch.cuda.empty_cache()


class TreeLayers:
    """The decoder layers as a token tree's runs pass them; the top MLP runs at `compared` only."""

    def __init__(
        self, inputs: LayerInputs, calls: MicroBatches, compared: list[int] | None = None
    ) -> None:
        self.inputs = inputs
        self._calls = calls
        self._compared = compared

    def pass_layer(self, index: int, layer: Layer, rows: dict[Any, Tensor]) -> None:
        keys, states = [*rows], [*rows.values()]
        rows.clear()  # so that a state is freed when its batch has passed
        arguments, mlp_at, start = self.inputs.arguments[index], self.mlp_at(index), 0
        for batch in self._calls(lambda batch: layer(batch, arguments, mlp_at), states):
            states[start : start + len(batch)] = batch.split(1)
            start += len(batch)
        rows.update(zip(keys, states, strict=True))

    def mlp_at(self, index: int) -> list[int] | None:
        """The only tokens at which a layer's MLP has to run; None: all."""
        return self._compared if index == len(self.inputs.arguments) - 1 else None

    def outputs(self, row: Tensor) -> Tensor:
        """A row at the compared tokens, (1, tokens, hidden)."""
        return row if self._compared is None else row[:, self._compared]


class UnpatchedRun:
    """The run of a model as it is, on some token trees; rows: per tree, its row by the key None."""

    def __init__(self, trees: Sequence[TreeLayers]) -> None:
        self.trees = trees
        self.rows: list[dict[Any, Tensor]] = [{None: tree.inputs.hidden} for tree in trees]

    def pass_layer(self, index: int, layer: Layer) -> list[dict[str, Tensor]]:
        """Take the run through a layer; returns, per tree, what `Layer.capture` keeps of it."""
        captured = []
        for tree, row in zip(self.trees, self.rows, strict=True):
            with layer.capture() as states:
                tree.pass_layer(index, layer, row)
            captured.append(states)
        return captured

    def outputs(self) -> list[Tensor]:
        """Per tree, the hidden states at its compared tokens, (1, tokens, hidden)."""
        return [tree.outputs(row[None]) for tree, row in zip(self.trees, self.rows, strict=True)]
