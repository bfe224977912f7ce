"""Runs on their way through a model's layers, as rows of (1, tokens, hidden)."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from stillknows.engine.micro_batches import MicroBatches
from stillknows.engine.streamed_model import Layer, LayerInputs


class TreeLayers:
    """The decoder layers as the runs of one token tree pass them.

    Args:
        inputs: what the layers are given.
        calls: how many rows pass a layer at a time.
        compared: the tokens that are read after the last layer; that layer's MLP runs at these
            only. None: all.
    """

    def __init__(
        self, inputs: LayerInputs, calls: MicroBatches, compared: list[int] | None = None
    ) -> None:
        self.inputs = inputs
        self._calls = calls
        self._compared = compared

    def pass_layer(self, index: int, layer: Layer, rows: dict[Any, Tensor]) -> None:
        """Take rows through a layer; their states are replaced."""
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
    """The run of a model as it is, on some token trees."""

    def __init__(self, trees: Sequence[TreeLayers]) -> None:
        self.trees = trees
        self._rows = [{None: tree.inputs.hidden} for tree in trees]

    def pass_layer(self, index: int, layer: Layer) -> list[dict[str, Tensor]]:
        """Take the run through a layer; returns, per tree, what `Layer.capture` keeps of it."""
        captured = []
        for tree, row in zip(self.trees, self._rows, strict=True):
            with layer.capture() as states:
                tree.pass_layer(index, layer, row)
            captured.append(states)
        return captured

    def outputs(self) -> list[Tensor]:
        """Per tree, the hidden states at its compared tokens, (1, tokens, hidden)."""
        return [tree.outputs(row[None]) for tree, row in zip(self.trees, self._rows, strict=True)]
