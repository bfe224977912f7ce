"""The sweep: every window of one experiment in a single walk up the stack of layers.

Until its window begins, a patched run equals the unpatched one; so each window starts from that
run's hidden state at its first layer. From there on all runs walk up together as rows of one
batch, and each layer's weights are needed once. Windows that begin at the same layer are one row
until the shortest of them ends.
"""

import logging
from collections.abc import Mapping, Sequence
from contextlib import nullcontext

import torch
from torch import Tensor

from dissect.engine.packs import Pack
from dissect.engine.patches import Donor, LayerPatch
from dissect.engine.scores import Reference, Scores
from dissect.engine.skeleton import Entry, Head, Layer, Skeleton
from dissect.study.windows import Window
from dissect.texts.spans import Text

log = logging.getLogger("dissect")
LayerRange = tuple[int, int]  # first and last layer of a window

# Tokens of one call: bounds the memory of a layer's inner activations; changes no bit on a CPU.
TOKENS_PER_CALL = 4096
# Positions of one call of the head: bounds the memory of logits over the vocabulary.
POSITIONS_PER_CALL = 1024


class Front:
    """All runs of one pack of texts, as they stand between two layers.

    Args:
        entry: what the stack of layers is given for the pack.

    Attributes:
        outside: batches of (runs, tokens, hidden): first the unlearned model's own run, then those
            whose window is behind them. They only grow, so full batches are never copied.
        closed: first and last layer of the windows of the runs outside, the first run left out.
        open: runs inside a window, each (1, tokens, hidden), by the layer at which it began.
    """

    def __init__(self, entry: Entry, windows: Sequence[Window]) -> None:
        self.outside = [entry.hidden]
        self.closed: list[LayerRange] = []
        self.open: dict[int, Tensor] = {}
        self._arguments = entry.arguments
        self._ends: dict[int, set[int]] = {}
        for window in windows:
            self._ends.setdefault(window.first, set()).add(window.last)

    def pass_through(self, layer: Layer, patch: LayerPatch, pack: int) -> None:
        """Take every run through one layer: those in a window patched, the others as they are."""
        arguments = self._arguments[patch.index]
        below = self.outside[0][:1]
        with layer.heard() as heard:
            self.outside = [layer(batch, arguments) for batch in self.outside]
        if self.open:
            batches = _in_batches(list(self.open.values()))
            with patch.applied(layer, pack):
                inside = [run for batch in batches for run in layer(batch, arguments).split(1)]
            self.open = dict(zip(self.open, inside, strict=True))
        if patch.index in self._ends:
            # A window begins: its run reads here what the unpatched run has read.
            with patch.applied(layer, pack, heard):
                self.open[patch.index] = layer(below, arguments)
        self._end(patch.index)

    def _end(self, layer: int) -> None:
        """Windows that end here leave their run; it goes on for the longer ones."""
        for first, run in list(self.open.items()):
            if layer in self._ends[first]:
                self.closed.append((first, layer))
                self.outside[-1:] = _in_batches([self.outside[-1], run])
            if layer == max(self._ends[first]):
                del self.open[first]


@torch.inference_mode()
def sweep(
    skeleton: Skeleton, donor: Donor, windows: Sequence[Window]
) -> tuple[list[LayerRange], list[Scores]]:
    """Patch the original's component into every window and compare with the original.

    Args:
        skeleton: the unlearned model.
        donor: the original's states for the texts of its recording, and the experiment.

    Returns:
        The first and last layer of each patched run, and per text the scores of all runs; row 0
        is the unpatched run, row i + 1 the i-th pair of layers.
    """
    recording, device = donor.recording, skeleton.device
    with skeleton.entrance() as enter:
        fronts = [Front(enter(pack), windows) for pack in recording.packs]
    compared = [_compared_places(pack, recording.texts) for pack in recording.packs]
    top = len(skeleton.layers) - 1
    for index in range(top + 1):
        patch = donor.read_layer(index, skeleton.dtype, skeleton.device)
        with skeleton.layer(index) as layer:
            for number, (front, places) in enumerate(zip(fronts, compared, strict=True)):
                # Above the top layer, only compared positions are read.
                with layer.mlp_only_at(places) if index == top else nullcontext():
                    front.pass_through(layer, patch, number)
        log.info(
            "layer %d of %d: %d runs in a window, %d behind theirs",
            *(index + 1, top + 1, len(fronts[0].open), len(fronts[0].closed)),
        )
    scores: dict[int, Scores] = {}
    with skeleton.exit() as head:
        for pack, front, places in zip(recording.packs, fronts, compared, strict=True):
            references = {
                member: Reference(recording.logits(member, device), recording.texts[member])
                for member in pack.members
            }
            runs = [run[:, places] for batch in front.outside for run in batch.split(1)]
            scores |= _score(head, runs, references)
    return fronts[0].closed, [scores[number] for number in range(len(recording.texts))]


def _in_batches(runs: list[Tensor]) -> list[Tensor]:
    """Join (runs, tokens, hidden) states into batches of TOKENS_PER_CALL, or of one run each."""
    tokens = runs[0].shape[1]
    return list(torch.cat(runs).split(max(1, TOKENS_PER_CALL // tokens)))


def _compared_places(pack: Pack, texts: Sequence[Text]) -> list[int]:
    """Where the compared positions of a pack's texts lie in it, text by text."""
    return [
        place for member in pack.members for place in pack.places(member, texts[member].compared)
    ]


def _score(
    head: Head, runs: list[Tensor], references: Mapping[int, Reference]
) -> dict[int, Scores]:
    """Each text's scores of all runs.

    Args:
        runs: the hidden states, each (1, compared positions of all texts, hidden).
        references: by text, in the order in which their positions lie in a run.
    """
    counts = [len(reference.logits) for reference in references.values()]
    at_once = max(1, POSITIONS_PER_CALL // sum(counts))
    found: dict[int, list[Scores]] = {member: [] for member in references}
    for start in range(0, len(runs), at_once):
        # One run and text at a time: its logits over the vocabulary stay in the processor's cache.
        for logits in head(torch.cat(runs[start : start + at_once])).split(1):
            for member, part in zip(references, logits.split(counts, dim=1), strict=True):
                found[member].append(references[member].score(part))
    return {member: Scores.joined(parts) for member, parts in found.items()}
