"""How many floating point operations a job does, and the least that exact results need.

Counted from shapes, a multiplication and its addition as two: linear layers, attention's two
products (queries with keys, weights with values) and the head. What is not counted (norms,
activation functions, rotary tables, scores) is less than a hundredth at the paper's size.
"""

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import nn

from dissect.engine.attention import uses_tree_attention
from dissect.engine.patches import DonorWindows, Experiment
from dissect.engine.recording import Recording
from dissect.engine.schedule import LayerSchedule, schedule
from dissect.engine.streamed_model import Layer, StreamedModel
from dissect.engine.token_tree import TokenTree, token_tree, token_trees
from dissect.texts.spans import Text

log = logging.getLogger("dissect")


@dataclass(frozen=True)
class Operations:
    """Floating point operations: those done, and the least that the same results need."""

    done: int
    least: int

    def __add__(self, other: "Operations") -> "Operations":
        return Operations(self.done + other.done, self.least + other.least)


@dataclass(frozen=True)
class RunCost:
    """Multiplications of one run in one layer; `down`: of the down projection alone."""

    attention: int
    mlp: int
    down: int


def count_sweep(
    host: StreamedModel, donors: Sequence[DonorWindows], compared: Recording
) -> Operations:
    """The operations of one sweep with all its donors.

    The least: each text's tokens once as far as texts begin alike; a run from its window on, and
    runs that are equal so far once; nothing of a part that is patched or known from another run;
    attention between a token and what stands before it in its text; in the top layer, keys and
    values at all positions and everything else at the compared ones only. A control's tokens count
    once as far as its texts and what is patched into them agree.
    """
    total = _count_unpatched(host, compared.trees, compared.texts, compared_only=True)
    for donor_windows in donors:
        total += _count_donor(host, donor_windows)
    return total


def count_record(model: StreamedModel, texts: Sequence[Text]) -> Operations:
    """The operations of one recording, a single run that keeps every layer's components."""
    trees = token_trees([text.ids for text in texts])
    return _count_unpatched(model, trees, texts, compared_only=False)


@contextmanager
def timed(operations: Operations) -> Iterator[None]:
    """A block that does these operations; the log says how many, and how fast."""
    started = time.perf_counter()
    yield
    seconds = time.perf_counter() - started
    done, least = operations.done, operations.least
    log.info(
        "%.3g FLOPs done in %.1f s (%.0f GFLOP/s); exact results need at "
        "least %.3g FLOPs (%.2f times as many were done)",
        *(done, seconds, done / seconds / 1e9, least, done / least),
    )


def _count_unpatched(
    model: StreamedModel, trees: Sequence[TokenTree], texts: Sequence[Text], *, compared_only: bool
) -> Operations:
    """The unpatched run. `compared_only`: of the top layer, no other positions are wanted."""
    together = token_tree([text.ids for text in texts], range(len(texts)))
    total = _count_head(model, together, texts)
    for index in range(model.n_layers):
        is_top = compared_only and index == model.n_layers - 1
        costs = [_cost_done(model, tree, texts, is_top=is_top) for tree in trees]
        needed = _least_cost(model, together, texts, is_top=is_top)
        done = sum(cost.attention + cost.mlp for cost in costs)
        total += Operations(2 * done, 2 * (needed.attention + needed.mlp))
    return total


def _count_donor(host: StreamedModel, donor_windows: DonorWindows) -> Operations:
    """The patched runs of one donor."""
    donor, ranges = donor_windows.donor, donor_windows.ranges
    trees, texts = donor.trees, donor.recording.texts
    together = donor.tree_of(range(len(texts)))
    total = _count_head(host, together, texts, runs=len(set(ranges)))
    for index, step in enumerate(schedule(ranges, host.n_layers)):
        is_top = index == host.n_layers - 1
        costs = [_cost_done(host, tree, texts, is_top=is_top) for tree in trees]
        needed = _least_cost(host, together, texts, is_top=is_top)
        # The donor's MLP output is computed for the rows inside a window, and again for those that
        # start here.
        outputs = bool(step.in_window) + step.starts
        done = sum(_runs(step, donor.experiment, cost, outputs) for cost in costs)
        least = _runs(step, donor.experiment, needed, int(step.patches))
        total += Operations(2 * done, 2 * least)
    return total


def _runs(step: LayerSchedule, experiment: Experiment, cost: RunCost, outputs: int) -> int:
    """Multiplications of one donor's runs in one layer.

    Args:
        outputs: how often MLP outputs are computed from the donor's coefficients.
    """
    inside, starts = len(step.in_window), int(step.starts)
    total = len(step.finished) * (cost.attention + cost.mlp)
    if experiment.residual:
        return total
    # Where a window starts, what the patch does not change is the unpatched run's.
    if not experiment.attention:
        total += (inside + starts * (not experiment.keeps_attention)) * cost.attention
    if experiment.coefficients:
        total += outputs * cost.down
    else:
        at_start = cost.down if experiment.keeps_coefficients else cost.mlp
        total += inside * cost.mlp + starts * at_start
    return total


def _count_head(
    model: StreamedModel, together: TokenTree, texts: Sequence[Text], runs: int = 1
) -> Operations:
    """The head of some runs; `together` is the tree of all texts."""
    per_position = 2 * runs * _linear(model.model.get_output_embeddings())
    compared = together.compared(texts)
    return Operations(per_position * len(compared), per_position * len(set(compared)))


def _cost_done(
    model: StreamedModel, tree: TokenTree, texts: Sequence[Text], *, is_top: bool
) -> RunCost:
    """What a run of a tree computes: in the top layer, the MLP runs at compared positions only."""
    tokens = len(tree.ids)
    pairs = tokens * tokens  # those that the mask hides are computed and then dropped
    if uses_tree_attention(model.model):
        pairs = sum(len(own) * len(path) for own, path in tree.parts)
    mlp = len(tree.compared(texts)) if is_top else tokens
    return _run_cost(model, keys=tokens, queries=tokens, pairs=pairs, mlp=mlp)


def _least_cost(
    model: StreamedModel, tree: TokenTree, texts: Sequence[Text], *, is_top: bool
) -> RunCost:
    """What a run of a tree needs: in the top layer, only keys and values at all positions."""
    wanted = set(tree.compared(texts)) if is_top else range(len(tree.ids))
    positions = tree.positions
    pairs = sum(positions[index] + 1 for index in wanted)  # with itself and all before it
    return _run_cost(model, keys=len(tree.ids), queries=len(wanted), pairs=pairs, mlp=len(wanted))


def _run_cost(model: StreamedModel, *, keys: int, queries: int, pairs: int, mlp: int) -> RunCost:
    """What one run costs in one layer.

    Args:
        keys, queries: how many tokens get keys and values; a query and an attention output.
        pairs: how many pairs of a query and a key are compared.
        mlp: at how many tokens the MLP runs.
    """
    layer, config = Layer(model.layers[0], model.checkpoint.family), model.checkpoint.config
    heads = config.num_attention_heads
    width = heads * (getattr(config, "head_dim", None) or config.hidden_size // heads)
    query_and_output = 2 * config.hidden_size * width
    key_and_value = _linear(layer.attention) - query_and_output
    attention = key_and_value * keys + query_and_output * queries + 2 * width * pairs
    return RunCost(attention, _linear(layer.mlp) * mlp, _linear(layer.down) * mlp)


def _linear(part: nn.Module) -> int:
    """Multiplications per position in a module's linear layers."""
    linear: list[Any] = [module for module in part.modules() if isinstance(module, nn.Linear)]
    return sum(module.in_features * module.out_features for module in linear)
