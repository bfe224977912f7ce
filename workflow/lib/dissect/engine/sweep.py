"""The sweep: every window of one experiment while the host model's layers are read once.

A row of a batch is a run, or several runs that are equal so far. `through_layers` (engine.runs)
takes the unpatched run and those runs whose window is finished through the host's layers, and stops
after each layer. There, every donor's rows inside a window pass the same layer, patched
(`DonorRuns.patch_layer`): a window that starts there takes the unpatched run's input, and a window
that ends there adds its run to the finished ones. The schedule says which rows these are. Above the
last layer, all runs are compared with the original's logits (`compare`).
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dissect.engine.micro_batches import POSITIONS_PER_CALL, TOKENS_PER_CALL, MicroBatches
from dissect.engine.patches import DonorWindows, PatchSite
from dissect.engine.recording import Recording
from dissect.engine.runs import TreeRuns, through_layers
from dissect.engine.schedule import LayerRange, schedule
from dissect.engine.scores import OriginalLogits, Scores
from dissect.engine.streamed_model import INPUTS, RESIDUAL, Layer, LayerInputs, StreamedModel
from dissect.engine.token_tree import TokenTree
from dissect.texts.spans import Text

log = logging.getLogger("dissect")


@dataclass(frozen=True)
class Swept:
    """The scores of a sweep.

    Attributes:
        unpatched: per text, of the host as it is.
        patched: per donor, by the window's first and last layer, per text.
    """

    unpatched: list[Scores]
    patched: list[dict[LayerRange, list[Scores]]]


@torch.inference_mode()
def sweep(host: StreamedModel, donors: Sequence[DonorWindows], compared: Recording) -> Swept:
    """Patch each donor into the host at every window, and compare with the original's logits.

    The unpatched run is shared. No run of one donor passes a layer in one batch with another
    donor's, so a further donor changes no bit of the others' scores while the memory lasts.

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
    for tree, tree_runs in zip(compared.trees, runs[0].trees, strict=True):
        tree_runs.add_outside(inputs[tree].hidden)
    for index, layer, captured in through_layers(host, [of_donor.trees for of_donor in runs]):
        for of_donor in runs:
            of_donor.patch_layer(index, layer, captured)
        log_progress(index, runs)
    return compare(host, runs, compared)


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
        self._windows = donor_windows
        self.schedule = schedule(donor_windows.ranges, host.n_layers)
        self.trees = [
            TreeRuns(inputs[tree].arguments, calls, tree.compared(texts))
            for tree in self.donor.trees
        ]
        self._device = host.device

    def rows_of_windows(self) -> dict[LayerRange, int]:
        """By a window's first and last layer, the row of its run above the last layer."""
        finished = [*self.schedule[-1].finished, *self.schedule[-1].ends]
        return {
            (window.first, window.last): finished.index(self._windows.range_of(window))
            for window in self._windows.windows
        }

    def patch_layer(
        self, index: int, layer: Layer, captured: Sequence[Mapping[str, Tensor]]
    ) -> None:
        """Take the rows inside a window through a layer that unpatched rows have just passed."""
        step, donor = self.schedule[index], self.donor
        if not step.patches:
            return
        with donor.patched_weights(layer, index):
            for number, tree in enumerate(self.trees):
                of_tree = donor.rearranged(captured[number], number)
                site = PatchSite(index, number, self._device, tree.mlp_at(index), of_tree)
                if step.in_window:
                    with donor.patched_activations(layer, site):
                        tree.pass_in_window(index, layer, step.in_window)
                if step.starts and donor.experiment.residual:
                    tree.in_window[index] = donor.activations(RESIDUAL, site)
                elif step.starts:
                    with donor.patched_activations(layer, site, starts=True):
                        tree.start_windows(index, layer, of_tree[INPUTS])
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
                by_text.update(score(head, of_donor.trees[number].outputs(), originals, calls))
    texts = range(len(compared.texts))
    # The first row of the first donor is the unpatched run: without it, rows go by
    # `rows_of_windows`.
    swept = Swept([scores[0][text].pop(0) for text in texts], [])
    for of_donor, by_text in zip(runs, scores, strict=True):
        swept.patched.append(
            {
                window: [by_text[text][row] for text in texts]
                for window, row in of_donor.rows_of_windows().items()
            }
        )
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
