"""The sweep: every window of one experiment in a single walk up the stack of layers.

Until its window begins, a patched run equals the unpatched one; so each window starts from that
run's hidden state at its first layer. From there on all runs walk up together as rows of one
batch, and each layer's weights are needed once. Windows that begin at the same layer are one row
until the shortest of them ends.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor

from dissect.engine.calls import Calls
from dissect.engine.donors import Patching
from dissect.engine.flops import count_sweep, timed
from dissect.engine.packs import Pack
from dissect.engine.patches import Donor, LayerPatch
from dissect.engine.plan import plan_sweep
from dissect.engine.recording import Recording
from dissect.engine.scores import Reference, Scores
from dissect.engine.skeleton import ATTENTION, Entrance, Entry, Head, Layer, Skeleton
from dissect.study.windows import Window
from dissect.texts.spans import Text

log = logging.getLogger("dissect")
LayerRange = tuple[int, int]  # first and last layer of a window

# Of one call, where the memory budget allows it: larger calls gain nothing.
TOKENS_PER_CALL = 4096
POSITIONS_PER_CALL = 1024  # of the head, whose outputs are as wide as the vocabulary


@dataclass(frozen=True)
class Unpatched:
    """What the unpatched run of a pack reads at a layer, and what it does there.

    Attributes:
        hidden: (1, tokens, hidden), what it reads; None where no window begins.
        heard: its components, (1, tokens, width) each.
    """

    hidden: Tensor | None
    heard: Mapping[str, Tensor]

    def laid_out(self, origins: list[int] | None) -> "Unpatched":
        """The same where a donor lays the texts out in another way (`Donor.origins`)."""
        if origins is None:
            return self
        hidden = None if self.hidden is None else self.hidden[:, origins]
        # At the top layer there are coefficients at compared positions only; donors that would
        # want them lay nothing out anew.
        return Unpatched(hidden, {ATTENTION: self.heard[ATTENTION][:, origins]})


class Front:
    """One donor's runs of one pack of texts, as they stand between two layers.

    Args:
        entry: what the stack of layers is given for the pack.
        calls: how many runs go through a layer at a time.
        unpatched: whether the unpatched run is among them.

    Attributes:
        outside: batches of (runs, tokens, hidden): first the unpatched run, then those whose window
            is behind them. They only grow, so full batches are never copied.
        closed: first and last layer of the windows of the runs outside, the unpatched one left out.
        open: runs inside a window, each (1, tokens, hidden), by the layer at which it began.
    """

    def __init__(
        self, entry: Entry, windows: Sequence[Window], calls: Calls, *, unpatched: bool = True
    ) -> None:
        self.outside = [entry.hidden] if unpatched else []
        self.closed: list[LayerRange] = []
        self.open: dict[int, Tensor] = {}
        self._tokens = entry.hidden.shape[1]
        self._arguments = entry.arguments
        self._calls = calls
        self._ends: dict[int, set[int]] = {}
        for window in windows:
            self._ends.setdefault(window.first, set()).add(window.last)

    def begins(self, index: int) -> bool:
        """Whether a window begins at a layer."""
        return index in self._ends

    def patches(self, index: int) -> bool:
        """Whether a run is inside a window at a layer."""
        return bool(self.open) or self.begins(index)

    def lead(self, layer: Layer, index: int, *, begins: bool) -> Unpatched:
        """Take the runs outside through a layer, and hear the unpatched one.

        Args:
            begins: whether any donor's window begins here.
        """
        hidden = self.outside[0][:1].clone() if begins else None
        with layer.heard() as heard:
            self.pass_outside(layer, index)
        return Unpatched(hidden, heard)

    def pass_outside(self, layer: Layer, index: int) -> None:
        """Take the runs outside their window through a layer."""
        # Each batch takes the place of what it was, so that states are never there twice.
        for place in range(len(self.outside)):
            self.outside[place] = self._pass(layer, index, self.outside[place])

    def pass_inside(self, layer: Layer, patch: LayerPatch, pack: int, unpatched: Unpatched) -> None:
        """Take the runs inside a window through a layer, patched."""
        if self.open:
            with patch.applied(layer, pack, unpatched.heard):
                for some in self._in_calls(list(self.open)):
                    runs = torch.cat([self.open[first] for first in some])
                    runs = self._pass(layer, patch.index, runs)
                    self.open.update(zip(some, runs.split(1), strict=True))
                    del runs
        if self.begins(patch.index):
            # A window begins: its run reads here what the unpatched run has read.
            assert unpatched.hidden is not None
            with patch.applied(layer, pack, unpatched.heard, begins=True):
                self.open[patch.index] = self._pass(layer, patch.index, unpatched.hidden)
        self._end(patch.index)

    def compared(self, places: list[int]) -> Tensor:
        """All runs outside at some places, (runs, places, hidden)."""
        return torch.cat([batch[:, places] for batch in self.outside])

    def _pass(self, layer: Layer, index: int, batch: Tensor) -> Tensor:
        return self._calls(lambda rows: layer(rows, self._arguments[index]), batch)

    def _end(self, layer: int) -> None:
        """Windows that end here leave their run; it goes on for the longer ones."""
        for first, run in list(self.open.items()):
            if layer in self._ends[first]:
                self.closed.append((first, layer))
                grown = torch.cat([*self.outside[-1:], run])
                self.outside[-1:] = grown.split(self._rows)
            if layer == max(self._ends[first]):
                del self.open[first]

    @property
    def _rows(self) -> int:
        """How many runs go through a layer at a time."""
        return self._calls.rows(self._tokens)

    def _in_calls(self, firsts: list[int]) -> list[list[int]]:
        """The runs inside a window, by their first layers, in groups of one call."""
        return [firsts[start : start + self._rows] for start in range(0, len(firsts), self._rows)]


@dataclass(frozen=True)
class Wave:
    """One donor's fronts, one per pack, and where the compared positions lie in each."""

    donor: Donor
    fronts: list[Front]
    compared: list[list[int]]

    def patches(self, index: int) -> bool:
        """Whether a run is inside a window at a layer; so it is in all packs, or in none."""
        return self.fronts[0].patches(index)

    def begins(self, index: int) -> bool:
        """Whether a window begins at a layer."""
        return self.fronts[0].begins(index)


Swept = tuple[list[LayerRange], list[Scores]]


def sweep(
    skeleton: Skeleton, donor: Donor, windows: Sequence[Window], budget: int | None = None
) -> Swept:
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
    return sweep_all(skeleton, [Patching(donor, windows)], budget)[0]


@torch.inference_mode()
def sweep_all(
    skeleton: Skeleton, patchings: Sequence[Patching], budget: int | None = None
) -> list[Swept]:
    """Several sweeps in one walk: each layer's weights are read once for all of them.

    The unpatched run is shared; no other run of one donor goes through a layer together with
    another donor's, so a further donor changes no bit of what the others bring.

    Args:
        patchings: the donors, of one recording, and the windows of each.
        budget: bytes of memory that tensors may take; None: no bound.

    Returns:
        per donor what `sweep` returns.

    Raises:
        DissectError: if the budget is too small.
    """
    first, *controls = patchings
    recording = first.donor.recording
    plan = plan_sweep(
        *(skeleton, first.donor, first.windows, TOKENS_PER_CALL, POSITIONS_PER_CALL, budget),
        controls,
    )
    calls = Calls(plan.tokens_per_call)
    with skeleton.entrance() as enter:
        entries = _enter(enter, patchings)
        waves = [
            _wave(entries, patching, calls, unpatched=patching is first) for patching in patchings
        ]
    del entries
    with timed(count_sweep(skeleton, first.donor, first.windows, controls)):
        _walk(skeleton, waves)
        calls = Calls(plan.positions_per_call)
        scores: list[dict[int, Scores]] = [{} for _ in waves]
        with skeleton.exit() as head:
            for pack in range(len(recording.packs)):
                for found, more in zip(scores, _score_pack(head, waves, pack, calls), strict=True):
                    found |= more
    return _with_unpatched(waves, scores)


def _enter(enter: Entrance, patchings: Sequence[Patching]) -> dict[Pack, Entry]:
    """What the layers are given, once for donors that lay texts out alike."""
    entries: dict[Pack, Entry] = {}
    for patching in patchings:
        for layout in patching.donor.layouts:
            if layout not in entries:
                entries[layout] = enter(layout)
    return entries


def _wave(
    entries: Mapping[Pack, Entry], patching: Patching, calls: Calls, *, unpatched: bool
) -> Wave:
    donor, texts = patching.donor, patching.donor.recording.texts
    return Wave(
        donor,
        [
            Front(entries[layout], patching.windows, calls, unpatched=unpatched)
            for layout in donor.layouts
        ],
        [_compared_places(layout, texts) for layout in donor.layouts],
    )


def _with_unpatched(waves: Sequence[Wave], scores: Sequence[Mapping[int, Scores]]) -> list[Swept]:
    """Per donor and text, the unpatched run's scores before those of its own runs."""
    first, swept = scores[0], []
    for wave, found in zip(waves, scores, strict=True):
        rows = [found[number] for number in sorted(found)]
        if found is not first:
            unpatched = [first[number].rows(slice(1)) for number in sorted(found)]
            rows = [Scores.joined(list(pair)) for pair in zip(unpatched, rows, strict=True)]
        swept.append((wave.fronts[0].closed, rows))
    return swept


def _walk(skeleton: Skeleton, waves: Sequence[Wave]) -> None:
    """Take all donors' fronts up the stack, one layer's weights at a time."""
    top = len(skeleton.layers) - 1
    for index in range(top + 1):
        with skeleton.layer(index) as layer:
            begins = any(wave.begins(index) for wave in waves)
            unpatched: list[Unpatched] = []
            for wave in waves:
                _pass(skeleton, layer, index, wave, unpatched, begins=begins)
        fronts = [wave.fronts[0] for wave in waves]
        log.info(
            "layer %d of %d: %d runs in a window, %d behind theirs",
            *(index + 1, top + 1),
            *(sum(len(front.open) for front in fronts), sum(len(front.closed) for front in fronts)),
        )


def _pass(
    skeleton: Skeleton,
    layer: Layer,
    index: int,
    wave: Wave,
    unpatched: list[Unpatched],
    *,
    begins: bool,
) -> None:
    """Take one donor's runs of all packs through a layer.

    Args:
        unpatched: per pack, what its unpatched run does here; empty for the first donor, whose
            runs it is one of, and who leaves it to the others.
    """
    patch = None
    if wave.patches(index):
        patch = wave.donor.read_layer(index, skeleton.dtype, skeleton.device)
    leads = not unpatched
    for number, (front, places) in enumerate(zip(wave.fronts, wave.compared, strict=True)):
        # Above the top layer, only compared positions are read.
        top = index == len(skeleton.layers) - 1
        with layer.mlp_only_at(places) if top else nullcontext():
            if leads:
                unpatched.append(front.lead(layer, index, begins=begins))
            else:
                front.pass_outside(layer, index)
            if patch is not None:
                run = unpatched[number].laid_out(wave.donor.origins(number))
                front.pass_inside(layer, patch, number, run)


def _compared_places(pack: Pack, texts: Sequence[Text]) -> list[int]:
    """Where the compared positions of a pack's texts lie in it, text by text."""
    return [
        place for member in pack.members for place in pack.places(member, texts[member].compared)
    ]


def _score_pack(
    head: Head, waves: Sequence[Wave], pack: int, calls: Calls
) -> Iterator[dict[int, Scores]]:
    """Per donor, the scores of its runs of one pack; the original's logits are read once."""
    recording, device = waves[0].donor.recording, waves[0].fronts[pack].outside[0].device
    references = _references(recording, recording.packs[pack], device)
    for wave in waves:
        runs = wave.fronts[pack].compared(wave.compared[pack])
        yield _score(head, runs, references, calls)


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

    def score(some: Tensor) -> dict[int, list[Scores]]:
        # One text and run at a time: what the original gave for the text stays in the processor's
        # cache from run to run.
        parts = zip(references.items(), head(some).split(counts, dim=1), strict=True)
        return {
            member: [reference.score(run) for run in part.split(1)]
            for (member, reference), part in parts
        }

    for several in calls.parts(score, runs):
        for member, scores in several.items():
            found[member] += scores
    return {member: Scores.joined(scores) for member, scores in found.items()}
