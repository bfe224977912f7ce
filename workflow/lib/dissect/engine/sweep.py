"""The sweep: every window of one experiment while the host model's layers are read once.

Each run is a row of a batch. `unpatched_run` takes the unpatched run through the host's layers, one
at a time, together with the runs whose window is finished. After each layer it stops, and every
donor's rows inside a window pass the same layer, patched (`DonorRuns.patch_layer`): a window that
starts there takes the unpatched run's input, and a window that ends there adds its run to the
finished ones. The schedule says which rows these are. Above the last layer, all runs are compared
with the original's logits (`compare`).
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from dissect.engine.micro_batches import MicroBatches
from dissect.engine.operations import count_sweep, timed
from dissect.engine.patches import DonorWindows, PatchSite
from dissect.engine.recording import Recording
from dissect.engine.schedule import LayerRange, LayerSchedule, schedule
from dissect.engine.scores import OriginalLogits, Scores
from dissect.engine.streamed_model import INPUTS, Layer, LayerInputs, StreamedModel
from dissect.engine.token_tree import TokenTree
from dissect.texts.spans import Text

log = logging.getLogger("dissect")

# Larger calls gain nothing. On a CPU these are constants, since the number of rows of a product can
# change its last bits, and results must not depend on the memory there is.
TOKENS_PER_CALL = 4096
POSITIONS_PER_CALL = 1024  # of the head, whose outputs are as wide as the vocabulary


@dataclass(frozen=True)
class Swept:
    """The scores of a sweep, each list one entry per text.

    Attributes:
        unpatched: of the host as it is.
        patched: for each donor, of its run of each window.
    """

    unpatched: list[Scores]
    patched: list[dict[LayerRange, list[Scores]]]


@torch.inference_mode()
def sweep(host: StreamedModel, donors: Sequence[DonorWindows], compared: Recording) -> Swept:
    """Patch each donor into the host at every window, and compare with the original's logits.

    The unpatched run is shared. No run of one donor passes a layer in one batch with another
    donor's, so a further donor changes no bit of the others' scores.

    Args:
        host: the model that runs.
        donors: what is patched in, and where; the first one has the token trees of `compared`,
            since the unpatched run passes the layers with its runs.
        compared: the original's recording of the texts, for its logits.
    """
    with host.embedding() as embed:
        trees = {tree for of_donor in donors for tree in of_donor.donor.trees}
        inputs = {tree: embed(tree) for tree in trees}
    calls = MicroBatches(TOKENS_PER_CALL)
    runs = [DonorRuns(of_donor, inputs, compared.texts, host, calls) for of_donor in donors]
    for tree, of_tree in zip(compared.trees, runs[0].trees, strict=True):
        of_tree.add_unpatched(inputs[tree].hidden)
    with timed(count_sweep(host, donors, compared)):
        for index, layer, unpatched in unpatched_run(host, [of_donor.trees for of_donor in runs]):
            for of_donor in runs:
                of_donor.patch_layer(index, layer, unpatched)
            log_progress(index, runs)
        return compare(host, runs, compared)


def unpatched_run(
    model: StreamedModel, runs: Sequence[Sequence["TreeRuns"]]
) -> Iterator[tuple[int, Layer, list[dict[str, Tensor]]]]:
    """Take all unpatched rows through the layers, and stop after each layer.

    Args:
        runs: per donor and token tree; the first rows of the first donor's are the unpatched run.

    Yields:
        A layer's index; the layer, with its weights until the next one is asked for; and what
        `Layer.capture` leaves of the unpatched run, per tree.
    """
    first_donor, *other_donors = runs
    for index in range(model.n_layers):
        with model.layer(index) as layer:
            unpatched = []
            for of_tree in first_donor:
                with layer.capture() as captured:
                    of_tree.pass_unpatched(index, layer)
                unpatched.append(captured)
            for of_donor in other_donors:
                for of_tree in of_donor:
                    of_tree.pass_unpatched(index, layer)
            yield index, layer, unpatched


class TreeRuns:
    """The runs of one token tree, between two layers. A run is a row, (1, tokens, hidden).

    Args:
        arguments: of each layer, beside the hidden state.
        calls: how many rows pass a layer at a time.
        compared: the tokens that are read above the last layer, whose MLP then runs at these only;
            None: all.

    Attributes:
        unpatched: rows that pass the layers unpatched, in batches of (rows, tokens, hidden): the
            unpatched run, if it is here, and finished runs. Rows are only added, so a full batch is
            never copied.
        in_window: rows inside a window, by its first layer.
    """

    def __init__(
        self,
        arguments: Sequence[Mapping[str, Any]],
        calls: MicroBatches,
        compared: list[int] | None = None,
    ) -> None:
        self.unpatched: list[Tensor] = []
        self.in_window: dict[int, Tensor] = {}
        self._arguments = arguments
        self._calls = calls
        self._compared = compared

    def add_unpatched(self, row: Tensor) -> None:
        """Add a row that passes the following layers unpatched."""
        last = torch.cat([*self.unpatched[-1:], row])
        self.unpatched[-1:] = last.split(self._calls.rows(row.shape[1]))

    def pass_unpatched(self, index: int, layer: Layer) -> None:
        """Take the unpatched rows through a layer."""
        # Each batch is replaced at once, so that no state is in memory twice.
        for number, batch in enumerate(self.unpatched):
            self.unpatched[number] = self._through(index, layer, batch)

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
            self.add_unpatched(self.in_window[first])
        self.in_window = {first: self.in_window[first] for first in step.remaining}

    def mlp_at(self, index: int) -> list[int] | None:
        """The only tokens at which a layer's MLP has to run; None: all."""
        return self._compared if index == len(self._arguments) - 1 else None

    def outputs(self) -> Tensor:
        """The unpatched rows at the compared tokens, (rows, tokens, hidden)."""
        return torch.cat([batch[:, self._compared] for batch in self.unpatched])

    def _through(self, index: int, layer: Layer, batch: Tensor) -> Tensor:
        arguments, mlp_at = self._arguments[index], self.mlp_at(index)
        return self._calls(lambda rows: layer(rows, arguments, mlp_at), batch)


class DonorRuns:
    """All runs of one donor, between two layers.

    Args:
        donor_windows: the donor and its windows.
        inputs: of the layers, by token tree.
        texts: those of the trees.
        calls: how many rows pass a layer at a time.

    Attributes:
        trees: its runs of each token tree; of the first donor of a sweep, the unpatched run too.
    """

    def __init__(
        self,
        donor_windows: DonorWindows,
        inputs: Mapping[TokenTree, LayerInputs],
        texts: Sequence[Text],
        host: StreamedModel,
        calls: MicroBatches,
    ) -> None:
        self.donor = donor_windows.donor
        self.schedule = schedule(donor_windows.ranges, host.n_layers)
        self.trees = [
            TreeRuns(inputs[tree].arguments, calls, tree.compared(texts))
            for tree in self.donor.trees
        ]
        self._device = host.device

    @property
    def windows(self) -> list[LayerRange]:
        """The windows of the finished runs above the last layer, in the order of their rows."""
        return [*self.schedule[-1].finished, *self.schedule[-1].ends]

    def patch_layer(
        self, index: int, layer: Layer, unpatched: Sequence[Mapping[str, Tensor]]
    ) -> None:
        """Take the rows inside a window through a layer that unpatched rows have just passed."""
        step, donor = self.schedule[index], self.donor
        if not step.patches:
            return
        with donor.patched_weights(layer, index):
            for number, tree in enumerate(self.trees):
                captured = donor.rearranged(unpatched[number], number)
                site = PatchSite(index, number, self._device, tree.mlp_at(index), captured)
                if step.in_window:
                    with donor.patched_activations(layer, site):
                        tree.pass_in_window(index, layer, step.in_window)
                if step.starts:
                    with donor.patched_activations(layer, site, starts=True):
                        tree.start_windows(index, layer, captured[INPUTS])
                tree.end_windows(step)


def log_progress(index: int, runs: Sequence[DonorRuns]) -> None:
    """Log how many rows of all donors are in a window, and how many runs are finished."""
    steps = [of_donor.schedule[index] for of_donor in runs]
    log.info(
        "layer %d of %d: %d rows in a window, %d runs finished",
        *(index + 1, len(runs[0].schedule), sum(len(step.remaining) for step in steps)),
        sum(len(step.finished) + len(step.ends) for step in steps),
    )


def compare(host: StreamedModel, runs: Sequence[DonorRuns], compared: Recording) -> Swept:
    """Score all runs above the last layer against the original's logits."""
    calls = MicroBatches(POSITIONS_PER_CALL)
    # Per donor, the scores of all its rows by text.
    scores: list[dict[int, list[Scores]]] = [{} for _ in runs]
    with host.lm_head() as head:
        for number, tree in enumerate(compared.trees):
            originals = {text: compared.original_logits(text, host.device) for text in tree.texts}
            for of_donor, by_text in zip(runs, scores, strict=True):
                by_text |= score(head, of_donor.trees[number].outputs(), originals, calls)
    texts = range(len(compared.texts))
    # The first row of the first donor is the unpatched run.
    swept = Swept([scores[0][text].pop(0) for text in texts], [])
    for of_donor, by_text in zip(runs, scores, strict=True):
        windows = enumerate(of_donor.windows)
        swept.patched.append({w: [by_text[text][row] for text in texts] for row, w in windows})
    return swept


def score(
    head: Callable[[Tensor], Tensor],
    outputs: Tensor,
    originals: Mapping[int, OriginalLogits],
    calls: MicroBatches,
) -> dict[int, list[Scores]]:
    """Each text's scores of all runs, in the order of their rows.

    Args:
        outputs: (runs, compared positions of all texts, hidden).
        originals: the original's logits by text, in the order of their positions.
    """
    counts = [len(original.logits) for original in originals.values()]
    scores: dict[int, list[Scores]] = {text: [] for text in originals}

    def score_rows(rows: Tensor) -> dict[int, list[Scores]]:
        # One text and run at a time: the original's logits of a text stay in the processor's cache
        # from run to run.
        parts = zip(originals.items(), head(rows).split(counts, dim=1), strict=True)
        return {text: [original.score(run) for run in part] for (text, original), part in parts}

    for part in calls.parts(score_rows, outputs):
        for text, of_runs in part.items():
            scores[text] += of_runs
    return scores
