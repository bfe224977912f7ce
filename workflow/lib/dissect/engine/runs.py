"""Runs on their way through a model's layers: the unpatched run, and rows of runs beside it.

A row is *outside* of a window if it passes the layers as they are: the unpatched run, and every
patched run whose window has ended.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor

from dissect.engine.micro_batches import MicroBatches
from dissect.engine.schedule import LayerSchedule
from dissect.engine.streamed_model import Layer, StreamedModel


class TreeRuns:
    """The rows of one token tree, (1, tokens, hidden) each, between two layers.

    Args:
        arguments: beside the hidden state, one entry per layer of the model.
        calls: how many rows pass a layer at a time.
        compared: the tokens that are read after the last layer; that layer's MLP runs at these
            only. None: all.

    Attributes:
        outside: rows outside of a window, in batches of (rows, tokens, hidden): the unpatched run,
            if it is here, and finished runs. Rows are only added, so a full batch is copied once at
            most.
        in_window: rows inside a window, by its first layer.
    """

    def __init__(
        self,
        arguments: Sequence[Mapping[str, Any]],
        calls: MicroBatches,
        compared: list[int] | None = None,
    ) -> None:
        self.outside: list[Tensor] = []
        self.in_window: dict[int, Tensor] = {}
        self._arguments = arguments
        self._calls = calls
        self._compared = compared

    def add_outside(self, row: Tensor) -> None:
        """Add a row that passes the following layers as they are."""
        last = torch.cat([*self.outside[-1:], row])
        self.outside[-1:] = last.split(self._calls.rows(row.shape[1]))

    def pass_outside(self, index: int, layer: Layer) -> None:
        """Take the rows outside of a window through a layer."""
        # Each batch is replaced at once, so that no state is in memory twice.
        for number, batch in enumerate(self.outside):
            self.outside[number] = self._through(index, layer, batch)

    def pass_in_window(self, index: int, layer: Layer, firsts: Sequence[int]) -> None:
        """Take rows inside a window, by their first layers, through a patched layer."""
        size = self._calls.rows(self.in_window[firsts[0]].shape[1])
        for start in range(0, len(firsts), size):
            of_call = firsts[start : start + size]
            batch = torch.cat([self.in_window[first] for first in of_call])
            batch = self._through(index, layer, batch)
            self.in_window.update(zip(of_call, batch.split(1), strict=True))

    def start_windows(self, index: int, layer: Layer, inputs: Tensor) -> None:
        """Take the row of the windows that start at a patched layer through it."""
        self.in_window[index] = self._through(index, layer, inputs)

    def end_windows(self, step: LayerSchedule) -> None:
        """Add a run for each window that ends, and drop the rows that no window needs."""
        for first, _ in step.ends:
            self.add_outside(self.in_window[first])
        self.in_window = {first: self.in_window[first] for first in step.remaining}

    def mlp_at(self, index: int) -> list[int] | None:
        """The only tokens at which a layer's MLP has to run; None: all."""
        return self._compared if index == len(self._arguments) - 1 else None

    def outputs(self) -> Tensor:
        """The rows outside of a window at the compared tokens, (rows, tokens, hidden)."""
        chosen = slice(None) if self._compared is None else self._compared
        return torch.cat([batch[:, chosen] for batch in self.outside])

    def _through(self, index: int, layer: Layer, batch: Tensor) -> Tensor:
        arguments, mlp_at = self._arguments[index], self.mlp_at(index)
        return self._calls(lambda rows: layer(rows, arguments, mlp_at), batch)


def through_layers(
    model: StreamedModel, runs: Sequence[Sequence[TreeRuns]], *, capture: bool = True
) -> Iterator[tuple[int, Layer, list[dict[str, Tensor]]]]:
    """Take all rows outside of a window through the layers, and stop after each layer.

    Args:
        runs: per donor and token tree; the first row of the first donor's is the unpatched run.
        capture: whether the unpatched run's activations are kept, which copies them.

    Yields:
        A layer's index; the layer, whose weights stay until the next one is asked for; and, per
        tree, what `Layer.capture` kept of the unpatched run, if anything.
    """
    first_donor, *other_donors = runs
    for index in range(model.n_layers):
        with model.layer(index) as layer:
            captured: list[dict[str, Tensor]] = []
            for tree_runs in first_donor:
                nothing = nullcontext[dict[str, Tensor]]({})
                with layer.capture() if capture else nothing as of_unpatched_run:
                    tree_runs.pass_outside(index, layer)
                captured.append(of_unpatched_run)
            for donor_runs in other_donors:
                for tree_runs in donor_runs:
                    tree_runs.pass_outside(index, layer)
            yield index, layer, captured
