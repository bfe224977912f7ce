"""The sweep: every window of one experiment in a single walk up the stack of layers.

Until its window begins, a patched run equals the unpatched one; so each window starts from that
run's hidden state at its first layer. From there on all runs walk up together as rows of one
batch, and each layer's weights are needed once. Windows that begin at the same layer are one row
until the shortest of them ends.
"""

import logging
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from dissect.engine.patches import Donor, LayerPatch
from dissect.engine.scores import Reference, Scores
from dissect.engine.skeleton import Entry, Head, Layer, Skeleton
from dissect.study.windows import Window

log = logging.getLogger("dissect")
LayerRange = tuple[int, int]  # first and last layer of a window

# Tokens of one call: bounds the memory of a layer's inner activations; changes no bit on a CPU.
TOKENS_PER_CALL = 4096
# Positions of one call of the head: bounds the memory of logits over the vocabulary.
POSITIONS_PER_CALL = 1024


class Front:
    """All runs of one pack of texts, as they stand between two layers.

    Each run's state is (1, tokens, hidden).

    Attributes:
        unpatched: the unlearned model's own run.
        open: runs inside a window, by the layer at which it began.
        closed: runs whose window is behind them, by its first and last layer.
    """

    def __init__(self, hidden: Tensor, windows: Sequence[Window]) -> None:
        self.unpatched = hidden
        self.open: dict[int, Tensor] = {}
        self.closed: dict[LayerRange, Tensor] = {}
        self._ends: dict[int, set[int]] = {}
        for window in windows:
            self._ends.setdefault(window.first, set()).add(window.last)

    def end(self, layer: int) -> None:
        """Windows that end here leave their row; it goes on for the longer ones."""
        for first, state in list(self.open.items()):
            if layer in self._ends[first]:
                self.closed[first, layer] = state
            if layer == max(self._ends[first]):
                del self.open[first]

    def pass_through(self, layer: Layer, patch: LayerPatch, pack: int, entry: Entry) -> None:
        """Take every run through one layer: those in a window patched, the others as they are."""
        arguments = entry.arguments[patch.index]

        def run(rows: Tensor) -> Tensor:
            return layer(rows, arguments)

        below = self.unpatched
        with layer.heard() as heard:
            self.unpatched, *closed = _run_rows([below, *self.closed.values()], run)
        self.closed = dict(zip(self.closed, closed, strict=True))
        if self.open:
            with patch.applied(layer, pack):
                inside = _run_rows(list(self.open.values()), run)
            self.open = dict(zip(self.open, inside, strict=True))
        if patch.index in self._ends:
            # A window begins: its row reads here what the unpatched run has read.
            with patch.applied(layer, pack, heard):
                self.open[patch.index] = run(below)
        self.end(patch.index)


@torch.inference_mode()
def sweep(
    skeleton: Skeleton, donor: Donor, windows: Sequence[Window]
) -> tuple[list[LayerRange], list[Scores]]:
    """Patch the original's component into every window and compare with the original.

    Args:
        skeleton: the unlearned model.
        donor: the original's states for the texts of its recording, and the experiment.

    Returns:
        The first and last layer of each patched row, and per text the scores of all rows; row 0
        is the unpatched run, row i + 1 the i-th pair of layers.
    """
    recording = donor.recording
    with skeleton.entrance() as enter:
        entries = [enter(pack) for pack in recording.packs]
    fronts = [Front(entry.hidden, windows) for entry in entries]
    for index in range(len(skeleton.layers)):
        patch = donor.read_layer(index, skeleton.dtype, skeleton.device)
        with skeleton.layer(index) as layer:
            for number, (front, entry) in enumerate(zip(fronts, entries, strict=True)):
                front.pass_through(layer, patch, number, entry)
        log.info(
            "layer %d of %d: %d runs in a window, %d behind theirs",
            *(index + 1, len(skeleton.layers), len(fronts[0].open), len(fronts[0].closed)),
        )
    ranges = sorted(fronts[0].closed)
    scores: dict[int, Scores] = {}
    with skeleton.exit() as head:
        for front, pack in zip(fronts, recording.packs, strict=True):
            rows = torch.cat([front.unpatched, *(front.closed[layers] for layers in ranges)])
            for member in pack.members:
                text = recording.texts[member]
                reference = Reference(recording.logits(member, skeleton.device), text)
                compared = rows[:, pack.places(member, text.compared)]
                scores[member] = _score(head, compared, reference)
    return ranges, [scores[number] for number in range(len(recording.texts))]


def _run_rows(states: list[Tensor], run: Callable[[Tensor], Tensor]) -> list[Tensor]:
    """Run (1, tokens, hidden) states as rows of batches that stay within TOKENS_PER_CALL."""
    at_once = max(1, TOKENS_PER_CALL // states[0].shape[1])
    moved: list[Tensor] = []
    for start in range(0, len(states), at_once):
        moved += run(torch.cat(states[start : start + at_once])).split(1)
    return moved


def _score(head: Head, compared: Tensor, reference: Reference) -> Scores:
    """Scores of one text's runs, given as (rows, compared positions, hidden)."""
    at_once = max(1, POSITIONS_PER_CALL // compared.shape[1])
    # One row at a time: its logits over the vocabulary still lie in the processor's cache.
    return Scores.joined(
        [reference.score(row) for some in compared.split(at_once) for row in head(some).split(1)]
    )
