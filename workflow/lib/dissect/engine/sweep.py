"""The sweep: every window of one experiment while the host model's layers are read once.

`unpatched_run` takes the unpatched run through the host's layers, one at a time, together with the
runs whose window is finished. At each layer, every donor's rows inside a window follow, patched
(`DonorRuns`): a window that starts there takes the unpatched run's input, and a window that ends
there adds its run to the finished ones. The schedule says which rows these are. Above the last
layer, all runs are compared with the original's logits (`compare`).
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from dissect.engine.micro_batches import MicroBatches
from dissect.engine.operations import count_sweep, timed
from dissect.engine.patches import DonorWindows, PatchSite
from dissect.engine.recording import Recording
from dissect.engine.schedule import LayerRange, schedule
from dissect.engine.scores import OriginalLogits, Scores
from dissect.engine.streamed_model import ATTENTION, Layer, LayerInputs, LMHead, StreamedModel
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


@dataclass(frozen=True)
class UnpatchedLayer:
    """What the unpatched run of one token tree reads and computes at one layer.

    Attributes:
        inputs: (1, tokens, hidden).
        captured: its components, (1, tokens, width) each.
    """

    inputs: Tensor
    captured: Mapping[str, Tensor]

    def in_order(self, origins: list[int] | None) -> "UnpatchedLayer":
        """The same for a donor that has the texts in another tree (`Donor.origins`)."""
        if origins is None:
            return self
        # At the top layer there are coefficients at compared positions only; donors that would
        # need them keep the recording's trees.
        return UnpatchedLayer(
            self.inputs[:, origins], {ATTENTION: self.captured[ATTENTION][:, origins]}
        )


@torch.inference_mode()
def sweep(host: StreamedModel, donors: Sequence[DonorWindows], compared: Recording) -> Swept:
    """Patch each donor into the host at every window, and compare with the original's logits.

    The unpatched run is shared. No run of one donor passes a layer in one batch with another
    donor's, so a further donor changes no bit of the others' scores.

    Args:
        host: the model that runs.
        donors: what is patched in, and where.
        compared: the original's recording of the texts, for its logits.
    """
    with host.embedding() as embed:
        trees = [tree for one in donors for tree in one.donor.trees]
        inputs = {tree: embed(tree) for tree in dict.fromkeys(trees)}
    calls = MicroBatches(TOKENS_PER_CALL)
    runs = [DonorRuns(one, inputs, compared.texts, host, calls) for one in donors]
    for rows, tree in zip(runs[0].rows, donors[0].donor.trees, strict=True):
        rows.add(inputs[tree].hidden)  # the unpatched run
    with timed(count_sweep(host, donors, compared)):
        for index, layer, unpatched in unpatched_run(host, [one.rows for one in runs]):
            for one in runs:
                one.patch_layer(index, layer, unpatched)
            log_progress(index, runs)
        return compare(host, runs, compared)


def unpatched_run(
    model: StreamedModel, rows: Sequence[Sequence["UnpatchedRows"]]
) -> Iterator[tuple[int, Layer, list[UnpatchedLayer]]]:
    """Take all rows that are not patched through the layers, and stop at each layer.

    Args:
        rows: per donor and token tree; those of the first donor start with the unpatched run.

    Yields:
        A layer's index, the layer with its weights, which are there until the next one is asked
        for, and what the unpatched run of each tree did there.
    """
    for index in range(model.n_layers):
        with model.layer(index) as layer:
            steps = []
            for of_tree in rows[0]:
                inputs = of_tree.first_row()
                with layer.capture() as captured:
                    of_tree.pass_layer(index, layer)
                steps.append(UnpatchedLayer(inputs, captured))
            for of_donor in rows[1:]:
                for of_tree in of_donor:
                    of_tree.pass_layer(index, layer)
            yield index, layer, steps


class UnpatchedRows:
    """Rows of one token tree that pass the layers unpatched, in batches.

    These are the unpatched run and runs whose window is finished.

    Args:
        arguments: of each layer, beside the hidden state.
        calls: how many rows pass a layer at a time.
        compared: the positions that are read above the last layer, whose MLP then runs at these
            only; None: all.

    Attributes:
        batches: (rows, tokens, hidden) each. Rows are only added, so a full batch is never copied.
    """

    def __init__(
        self,
        arguments: Sequence[Mapping[str, Any]],
        calls: MicroBatches,
        compared: list[int] | None = None,
    ) -> None:
        self.batches: list[Tensor] = []
        self.compared = compared
        self._arguments = arguments
        self._calls = calls

    def add(self, run: Tensor) -> None:
        """Add a run, (1, tokens, hidden)."""
        last = torch.cat([*self.batches[-1:], run])
        self.batches[-1:] = last.split(self.rows_per_call(run))

    def first_row(self) -> Tensor:
        """(1, tokens, hidden), a copy: a view would keep its whole batch."""
        return self.batches[0][:1].clone()

    def pass_layer(self, index: int, layer: Layer) -> None:
        """Take all rows through a layer."""
        # Each batch takes the place of what it was, so that no state is there twice.
        for number, batch in enumerate(self.batches):
            self.batches[number] = self.through(index, layer, batch)

    def through(self, index: int, layer: Layer, batch: Tensor) -> Tensor:
        """A batch of rows after a layer."""
        arguments, mlp_at = self._arguments[index], self.mlp_at(index)
        return self._calls(lambda rows: layer(rows, arguments, mlp_at), batch)

    def mlp_at(self, index: int) -> list[int] | None:
        """The only positions at which a layer's MLP has to run; None: all."""
        return self.compared if index == len(self._arguments) - 1 else None

    def rows_per_call(self, batch: Tensor) -> int:
        """How many rows pass a layer at a time."""
        return self._calls.rows(batch.shape[1])

    def outputs(self) -> Tensor:
        """All rows at the compared positions, (rows, positions, hidden)."""
        return torch.cat([batch[:, self.compared] for batch in self.batches])


class DonorRuns:
    """All patched runs of one donor, between two layers.

    Args:
        one: the donor and its windows.
        inputs: of the layers, by token tree.
        texts: those of the trees.
        calls: how many rows pass a layer at a time.

    Attributes:
        rows: per tree, finished runs; of the first donor of a sweep, after the unpatched run.
        in_window: per tree, the rows inside a window, (1, tokens, hidden), by its first layer.
    """

    def __init__(
        self,
        one: DonorWindows,
        inputs: Mapping[TokenTree, LayerInputs],
        texts: Sequence[Text],
        host: StreamedModel,
        calls: MicroBatches,
    ) -> None:
        self.donor = one.donor
        self.schedule = schedule(one.ranges, host.n_layers)
        self.rows = [
            UnpatchedRows(inputs[tree].arguments, calls, compared_indices(tree, texts))
            for tree in one.donor.trees
        ]
        self.in_window: list[dict[int, Tensor]] = [{} for _ in self.rows]
        self._host = host

    @property
    def windows(self) -> list[LayerRange]:
        """The windows of the finished runs above the last layer, in the order of their rows."""
        return [*self.schedule[-1].finished, *self.schedule[-1].ends]

    def patch_layer(self, index: int, layer: Layer, unpatched: Sequence[UnpatchedLayer]) -> None:
        """Take the rows inside a window through a layer that unpatched rows have just passed."""
        step, host = self.schedule[index], self._host
        if not step.patches:
            return
        patch = self.donor.read_layer(index, host.dtype, host.device)
        for tree, rows in enumerate(self.rows):
            at_layer = unpatched[tree].in_order(self.donor.origins(tree))
            site = PatchSite(index, tree, host.device, rows.mlp_at(index), at_layer.captured)
            in_window = self.in_window[tree]
            if step.in_window:
                with patch.applied(layer, site):
                    pass_in_window(index, layer, rows, in_window, step.in_window)
            if step.starts:
                with patch.applied(layer, site, starts=True):
                    in_window[index] = rows.through(index, layer, at_layer.inputs)
            for first, _ in step.ends:
                rows.add(in_window[first])
            self.in_window[tree] = {first: in_window[first] for first in step.remaining}


def pass_in_window(
    index: int,
    layer: Layer,
    rows: UnpatchedRows,
    in_window: dict[int, Tensor],
    firsts: Sequence[int],
) -> None:
    """Take rows inside a window through a patched layer, in calls of several."""
    start = 0
    while start < len(firsts):
        some = firsts[start : start + rows.rows_per_call(in_window[firsts[start]])]
        batch = torch.cat([in_window[first] for first in some])
        batch = rows.through(index, layer, batch)
        in_window.update(zip(some, batch.split(1), strict=True))
        start += len(some)


def log_progress(index: int, runs: Sequence[DonorRuns]) -> None:
    """Log how many rows of all donors are in a window, and how many runs are finished."""
    steps = [one.schedule[index] for one in runs]
    log.info(
        "layer %d of %d: %d rows in a window, %d runs finished",
        *(index + 1, len(runs[0].schedule), sum(len(step.remaining) for step in steps)),
        sum(len(step.finished) + len(step.ends) for step in steps),
    )


def compared_indices(tree: TokenTree, texts: Sequence[Text]) -> list[int]:
    """Where the compared positions of a tree's texts are in it, text by text."""
    return [index for text in tree.texts for index in tree.at(text, texts[text].compared)]


def compare(host: StreamedModel, runs: Sequence[DonorRuns], compared: Recording) -> Swept:
    """Score all runs above the last layer against the original's logits."""
    calls = MicroBatches(POSITIONS_PER_CALL)
    scores: list[dict[int, list[Scores]]] = [{} for _ in runs]  # per donor: text -> rows
    with host.lm_head() as head:
        for number, tree in enumerate(compared.trees):
            originals = {text: compared.original_logits(text, host.device) for text in tree.texts}
            for of_donor, one in zip(scores, runs, strict=True):
                of_donor |= score(head, one.rows[number].outputs(), originals, calls)
    texts = range(len(compared.texts))
    unpatched = [scores[0][text].pop(0) for text in texts]
    patched = [
        {window: [of_donor[text][row] for text in texts] for row, window in enumerate(one.windows)}
        for one, of_donor in zip(runs, scores, strict=True)
    ]
    return Swept(unpatched, patched)


def score(
    head: LMHead, outputs: Tensor, originals: Mapping[int, OriginalLogits], calls: MicroBatches
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
