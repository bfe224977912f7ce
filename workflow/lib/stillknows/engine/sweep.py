"""The sweep: every window of one or more experiments while the host's layers are read once.

Below its window a patched run equals the unpatched run, so it starts at its window, from that run's
hidden state. Windows that start at the same layer are one row of a batch until the shorter one
ends. At each layer, the unpatched run passes first; then, donor by donor, the runs past their
window, and the rows inside a window, with the layer patched. Above the last layer, all runs are
compared with the original's logits.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any

import torch
from torch import Tensor

from stillknows.engine.patches import Donor
from stillknows.engine.recording import OriginalLogits, Recording, Scores
from stillknows.engine.runs import (
    POSITIONS_PER_CALL,
    TOKENS_PER_CALL,
    MicroBatches,
    TreeLayers,
    UnpatchedRun,
)
from stillknows.engine.streamed_model import INPUTS, RESIDUAL, Layer, StreamedModel, filled
from stillknows.engine.token_tree import TokenTree
from stillknows.engine.windows import LayerRange

log = logging.getLogger("stillknows")


@dataclass(frozen=True)
class Swept:
    """unpatched: per text, of the host as it is; patched: per donor, by layers, per text."""

    unpatched: list[Scores]
    patched: list[dict[LayerRange, list[Scores]]]


@torch.inference_mode()
def sweep(host: StreamedModel, donors: Sequence[Donor], compared: Recording) -> Swept:
    """Patch each donor into the host at each of its windows, and compare with the original.

    The unpatched run is shared. No run of one donor passes a layer in one batch with another
    donor's, so a further donor changes no bit of the others' scores while the memory lasts.
    `compared` is the original's recording; each donor has a token tree for each of its trees.
    """
    calls = MicroBatches(TOKENS_PER_CALL)
    with host.embedding() as embed:
        layers_of = {
            tree: TreeLayers(embed(tree), calls, tree.compared(compared.texts))
            for tree in {*compared.trees, *(tree for donor in donors for tree in donor.trees)}
        }
    unpatched = UnpatchedRun([layers_of[tree] for tree in compared.trees])
    runs = [DonorRuns(donor, layers_of) for donor in donors]
    for index, layer in host.stream_layers():
        captured = unpatched.pass_layer(index, layer)
        for donor_runs in runs:
            donor_runs.pass_layer(index, layer, captured)
        log.info(
            "layer %d of %d: %d rows in a window, %d runs finished",
            *(index + 1, host.n_layers, sum(len(donor_runs.live[0]) for donor_runs in runs)),
            sum(len(donor_runs.finished[0]) for donor_runs in runs),
        )
    rows = [(unpatched.trees, unpatched.rows), *((run.trees, run.finished) for run in runs)]
    unpatched_scores, *donor_scores = compare(host, rows, compared)
    patched = [
        {(w.first, w.last): scores[donor.patched_layers(w)] for w in donor.windows}
        for donor, scores in zip(donors, donor_scores, strict=True)
    ]
    return Swept(unpatched_scores[None], patched)


class DonorRuns:
    """All runs of a donor between two layers: per tree, live inside a window, finished above it."""

    def __init__(self, donor: Donor, layers_of: Mapping[TokenTree, TreeLayers]) -> None:
        self.donor = donor
        self.trees = [layers_of[tree] for tree in donor.trees]
        self.live: list[dict[int, Tensor]] = [{} for _ in self.trees]
        self.finished: list[dict[Any, Tensor]] = [{} for _ in self.trees]
        self._ranges = sorted({donor.patched_layers(window) for window in donor.windows})
        self._last = dict(self._ranges)  # by first layer: where its longest window ends

    def pass_layer(
        self, index: int, layer: Layer, captured: Sequence[Mapping[str, Tensor]]
    ) -> None:
        """Take all runs through a layer, of which `captured` is what the unpatched run left."""
        for tree, finished in zip(self.trees, self.finished, strict=True):
            tree.pass_layer(index, layer, finished)
        if index in self._last or any(self.live):
            current = layer.down.weight
            weights = self.donor.weights(index, current.dtype, current.device)
            with filled(layer.module, weights):
                for number, kept in enumerate(captured):
                    self._pass_patched(index, layer, number, self.donor.on_own_tree(kept, number))

    def _pass_patched(
        self, index: int, layer: Layer, number: int, captured: Mapping[str, Tensor]
    ) -> None:
        """Take the rows of one tree that are inside a window through a layer."""
        tree, live, experiment = self.trees[number], self.live[number], self.donor.experiment
        states = self.donor.states(index, number, captured, tree.mlp_at(index))
        if live:
            with layer.patched(states):
                tree.pass_layer(index, layer, live)
        if index in self._last and RESIDUAL in states:
            live[index] = states[RESIDUAL]
        elif index in self._last:
            # Their input is the unpatched run's, and so is whatever the patch does not change.
            unchanged = {component: captured[component] for component in experiment.unchanged}
            starting = {index: captured[INPUTS]}
            with layer.patched(unchanged | states):
                tree.pass_layer(index, layer, starting)
            live |= starting
        ends = [(first, last) for first, last in self._ranges if last == index]
        self.finished[number] |= {window: live[window[0]] for window in ends}
        self.live[number] = {first: row for first, row in live.items() if self._last[first] > index}


def compare(
    host: StreamedModel,
    runs: Sequence[tuple[Sequence[TreeLayers], Sequence[Mapping[Any, Tensor]]]],
    compared: Recording,
) -> list[dict[Any, list[Scores]]]:
    """Scores of rows above the last layer, against the original's logits.

    Args:
        runs: of the unpatched run and of each donor's: the token trees, and per tree the rows.

    Returns:
        In the order of `runs`, each row's scores by its key, text by text.
    """
    calls = MicroBatches(POSITIONS_PER_CALL)
    scores: list[dict[Any, list[Scores]]] = [{} for _ in runs]
    with host.lm_head() as head:
        for number, tree in enumerate(compared.trees):  # which have the texts in their order
            originals = [compared.original_logits(text, host.device) for text in tree.texts]
            score_batch = partial(score, head, originals)
            for (trees, rows), row_scores in zip(runs, scores, strict=True):
                outputs = [trees[number].outputs(row) for row in rows[number].values()]
                by_row = chain.from_iterable(calls(score_batch, outputs))
                for key, text_scores in zip(rows[number], by_row, strict=True):
                    row_scores.setdefault(key, []).extend(text_scores)
    return scores


def score(
    head: Callable[[Tensor], Tensor], originals: Sequence[OriginalLogits], batch: Tensor
) -> Iterator[tuple[Scores, ...]]:
    """Each row's scores, text by text; batch: (rows, compared positions of all texts, hidden)."""
    logits = head(batch).split([len(original.logits) for original in originals], dim=1)
    # One text and run at a time: the original's logits of a text stay in the processor's cache
    # from run to run.
    by_text = [
        [original.score(row) for row in rows]
        for original, rows in zip(originals, logits, strict=True)
    ]
    return zip(*by_text, strict=True)
