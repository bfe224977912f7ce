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

from dissect.engine.calls import Calls
from dissect.engine.flops import count_sweep, timed
from dissect.engine.packs import Pack
from dissect.engine.patches import Donor, LayerPatch
from dissect.engine.plan import plan_sweep
from dissect.engine.recording import Recording
from dissect.engine.scores import Reference, Scores
from dissect.engine.skeleton import Entry, Head, Layer, Skeleton
from dissect.study.windows import Window
from dissect.texts.spans import Text

log = logging.getLogger("dissect")
LayerRange = tuple[int, int]  # first and last layer of a window

# Of one call, where the memory budget allows it: larger calls gain nothing.
TOKENS_PER_CALL = 4096
POSITIONS_PER_CALL = 1024  # of the head, whose outputs are as wide as the vocabulary


class Front:
    """All runs of one pack of texts, as they stand between two layers.

    Args:
        entry: what the stack of layers is given for the pack.
        calls: how many runs go through a layer at a time.

    Attributes:
        outside: batches of (runs, tokens, hidden): first the unlearned model's own run, then those
            whose window is behind them. They only grow, so full batches are never copied.
        closed: first and last layer of the windows of the runs outside, the first run left out.
        open: runs inside a window, each (1, tokens, hidden), by the layer at which it began.
    """

    def __init__(self, entry: Entry, windows: Sequence[Window], calls: Calls) -> None:
        self.outside = [entry.hidden]
        self.closed: list[LayerRange] = []
        self.open: dict[int, Tensor] = {}
        self._arguments = entry.arguments
        self._calls = calls
        self._ends: dict[int, set[int]] = {}
        for window in windows:
            self._ends.setdefault(window.first, set()).add(window.last)

    def pass_through(self, layer: Layer, patch: LayerPatch, pack: int) -> None:
        """Take every run through one layer: those in a window patched, the others as they are."""
        begins = patch.index in self._ends
        below = self.outside[0][:1].clone() if begins else None

        def run(batch: Tensor) -> Tensor:
            return layer(batch, self._arguments[patch.index])

        # Each batch takes the place of what it was, so that states are never there twice.
        with layer.heard() as heard:
            for place in range(len(self.outside)):
                self.outside[place] = self._calls(run, self.outside[place])
        if self.open:
            with patch.applied(layer, pack):
                for some in self._in_calls(list(self.open)):
                    runs = self._calls(run, torch.cat([self.open[first] for first in some]))
                    self.open.update(zip(some, runs.split(1), strict=True))
                    del runs
        if below is not None:
            # A window begins: its run reads here what the unpatched run has read.
            with patch.applied(layer, pack, heard):
                self.open[patch.index] = self._calls(run, below)
        self._end(patch.index)

    def _end(self, layer: int) -> None:
        """Windows that end here leave their run; it goes on for the longer ones."""
        for first, run in list(self.open.items()):
            if layer in self._ends[first]:
                self.closed.append((first, layer))
                grown = torch.cat([self.outside[-1], run])
                self.outside[-1:] = grown.split(self._rows)
            if layer == max(self._ends[first]):
                del self.open[first]

    @property
    def _rows(self) -> int:
        """How many runs go through a layer at a time."""
        return self._calls.rows(self.outside[0].shape[1])

    def _in_calls(self, firsts: list[int]) -> list[list[int]]:
        """The runs inside a window, by their first layers, in groups of one call."""
        return [firsts[start : start + self._rows] for start in range(0, len(firsts), self._rows)]


@torch.inference_mode()
def sweep(
    skeleton: Skeleton, donor: Donor, windows: Sequence[Window], budget: int | None = None
) -> tuple[list[LayerRange], list[Scores]]:
    """Patch the original's component into every window and compare with the original.

    Args:
        skeleton: the unlearned model.
        donor: the original's states for the texts of its recording, and the experiment.
        budget: bytes of memory that tensors may take; None: no bound.

    Returns:
        The first and last layer of each patched run, and per text the scores of all runs; row 0
        is the unpatched run, row i + 1 the i-th pair of layers.

    Raises:
        DissectError: if the budget is too small.
    """
    recording = donor.recording
    plan = plan_sweep(skeleton, donor, windows, TOKENS_PER_CALL, POSITIONS_PER_CALL, budget)
    calls = Calls(plan.tokens_per_call)
    with skeleton.entrance() as enter:
        fronts = [Front(enter(pack), windows, calls) for pack in recording.packs]
    compared = [_compared_places(pack, recording.texts) for pack in recording.packs]
    with timed(count_sweep(skeleton, donor, windows)):
        _walk(skeleton, donor, fronts, compared)
        calls = Calls(plan.positions_per_call)
        scores: dict[int, Scores] = {}
        with skeleton.exit() as head:
            for pack, front, places in zip(recording.packs, fronts, compared, strict=True):
                scores |= _score(
                    head,
                    torch.cat([batch[:, places] for batch in front.outside]),
                    _references(recording, pack, skeleton.device),
                    calls,
                )
    return fronts[0].closed, [scores[number] for number in range(len(recording.texts))]


def _walk(
    skeleton: Skeleton, donor: Donor, fronts: Sequence[Front], compared: Sequence[list[int]]
) -> None:
    """Take the fronts of all packs up the stack, one layer's weights at a time."""
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


def _compared_places(pack: Pack, texts: Sequence[Text]) -> list[int]:
    """Where the compared positions of a pack's texts lie in it, text by text."""
    return [
        place for member in pack.members for place in pack.places(member, texts[member].compared)
    ]


def _references(recording: Recording, pack: Pack, device: torch.device) -> dict[int, Reference]:
    """The original's logits by text, in the order in which the texts' positions lie in a run."""
    return {
        member: Reference(recording.logits(member, device), recording.texts[member])
        for member in pack.members
    }


def _score(
    head: Head, runs: Tensor, references: Mapping[int, Reference], calls: Calls
) -> dict[int, Scores]:
    """Each text's scores of all runs, (runs, compared positions of all texts, hidden)."""
    counts = [len(reference.logits) for reference in references.values()]
    found: dict[int, list[Scores]] = {member: [] for member in references}

    def score(some: Tensor) -> list[dict[int, Scores]]:
        # One run and text at a time: its logits over the vocabulary stay in the processor's cache.
        return [
            {
                member: references[member].score(part)
                for member, part in zip(references, logits.split(counts, dim=1), strict=True)
            }
            for logits in head(some).split(1)
        ]

    for several in calls.parts(score, runs):
        for one in several:
            for member, scores in one.items():
                found[member].append(scores)
    return {member: Scores.joined(parts) for member, parts in found.items()}
