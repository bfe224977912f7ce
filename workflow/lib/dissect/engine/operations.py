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

from dissect.engine.attention import uses_parts
from dissect.engine.patches import Donor, DonorWindows, Experiment
from dissect.engine.recording import Recording
from dissect.engine.schedule import LayerRange, LayerSchedule, schedule
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
class LayerCost:
    """What one run costs in one layer, in multiplications.

    Attributes:
        attention, mlp, down: per position, in the linear layers of the attention, in those of the
            MLP, and in the MLP's down projection alone.
        query_and_output: those of the attention's that make queries and its output.
        pair: per pair of positions that attention compares.
    """

    attention: int
    mlp: int
    down: int
    query_and_output: int
    pair: int

    @staticmethod
    def of(model: StreamedModel) -> "LayerCost":
        layer, config = Layer(model.layers[0], model.checkpoint), model.checkpoint.config
        heads = config.num_attention_heads
        width = heads * (getattr(config, "head_dim", None) or config.hidden_size // heads)
        return LayerCost(
            attention=_linear(layer.attention),
            mlp=_linear(layer.mlp),
            down=_linear(layer.down),
            query_and_output=2 * config.hidden_size * width,
            pair=2 * width,
        )


@dataclass(frozen=True)
class PassCost:
    """What one run costs in one layer for some tokens, in multiplications.

    Attributes:
        attention, mlp, down: of the whole attention, of the MLP, of its down projection.
    """

    attention: int
    mlp: int
    down: int


@dataclass(frozen=True)
class TokenCounts:
    """How many tokens one run reads.

    Attributes:
        all: its tokens.
        compared: its compared positions.
        pairs: pairs of positions that attention compares.
        pairs_compared: those whose first is a compared position.
    """

    all: int
    compared: int
    pairs: int
    pairs_compared: int

    def done_at(self, layer: LayerCost, *, is_top: bool) -> PassCost:
        """What the sweep does: in the top layer, the MLP runs at compared positions only."""
        positions = self.compared if is_top else self.all
        attention = layer.attention * self.all + layer.pair * self.pairs
        return PassCost(attention, layer.mlp * positions, layer.down * positions)

    def least_at(self, layer: LayerCost, *, is_top: bool) -> PassCost:
        """The least: in the top layer, only keys and values are needed at all positions."""
        cost = self.done_at(layer, is_top=is_top)
        if not is_top:
            return cost
        attention = layer.attention * self.all + layer.pair * self.pairs_compared
        attention -= layer.query_and_output * (self.all - self.compared)
        return PassCost(attention, cost.mlp, cost.down)


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
    total = _count_unpatched(host, compared.trees, compared.texts, everywhere=False)
    for one in donors:
        total += _count_donor(host, one.donor, one.ranges)
    return total


def count_record(model: StreamedModel, texts: Sequence[Text]) -> Operations:
    """The operations of one recording, a single run that keeps every layer's components."""
    trees = token_trees([text.ids for text in texts])
    return _count_unpatched(model, trees, texts, everywhere=True)


@contextmanager
def timed(operations: Operations) -> Iterator[None]:
    """A block that does these operations; the log says how many, and how fast."""
    started = time.perf_counter()
    yield
    seconds = time.perf_counter() - started
    done, least = operations.done, operations.least
    log.info(
        "%.3g FLOPs done in %.1f s (%.0f GFLOP/s); exact results need at least %.3g (1 : %.2f)",
        *(done, seconds, done / seconds / 1e9, least, done / least),
    )


def _count_unpatched(
    model: StreamedModel, trees: Sequence[TokenTree], texts: Sequence[Text], *, everywhere: bool
) -> Operations:
    """The unpatched run. `everywhere`: the top layer is wanted at all positions, too."""
    layer, head = LayerCost.of(model), _linear(model.model.get_output_embeddings())
    ids = [text.ids for text in texts]
    together = _tokens_needed(token_tree(ids, range(len(ids))), texts)
    done = least = head * together.compared
    for index in range(model.n_layers):
        is_top = index == model.n_layers - 1 and not everywhere
        for tree in trees:
            cost = _tokens_read(model, tree, texts).done_at(layer, is_top=is_top)
            done += cost.attention + cost.mlp
        cost = together.least_at(layer, is_top=is_top)
        least += cost.attention + cost.mlp
    return Operations(2 * done, 2 * least)


def _count_donor(host: StreamedModel, donor: Donor, ranges: Sequence[LayerRange]) -> Operations:
    """The patched runs of one donor."""
    steps, layer = schedule(ranges, host.n_layers), LayerCost.of(host)
    texts = donor.recording.texts
    trees = [_tokens_read(host, tree, texts) for tree in donor.trees]
    together = _tokens_needed(donor.tree_of(range(len(texts))), texts)
    head = _linear(host.model.get_output_embeddings()) * len(set(ranges))
    done = head * sum(tokens.compared for tokens in trees)
    least = head * together.compared
    for index, step in enumerate(steps):
        is_top = index == host.n_layers - 1
        for tokens in trees:
            cost = tokens.done_at(layer, is_top=is_top)
            # Made from the donor's coefficients for each of the two kinds of rows.
            made = bool(step.in_window) + step.starts
            done += _runs(step, donor.experiment, cost, made)
        cost = together.least_at(layer, is_top=is_top)
        least += _runs(step, donor.experiment, cost, made=int(step.patches))
    return Operations(2 * done, 2 * least)


def _runs(step: LayerSchedule, experiment: Experiment, cost: PassCost, made: int) -> int:
    """Multiplications of one donor's runs in one layer.

    Args:
        made: how often MLP outputs are made from the donor's coefficients.
    """
    inside, starts = len(step.in_window), int(step.starts)
    total = len(step.finished) * (cost.attention + cost.mlp)
    if not experiment.attention:
        total += inside * cost.attention  # where a window starts, it is the unpatched run's
    if experiment.value_vectors:
        total += inside * cost.mlp + starts * cost.down
    elif experiment.coefficients:
        total += made * cost.down
    else:
        total += (inside + starts) * cost.mlp
    return total


def _tokens_read(model: StreamedModel, tree: TokenTree, texts: Sequence[Text]) -> TokenCounts:
    """What a run of a tree reads; pairs that the mask hides are computed and then dropped."""
    count, compared = len(tree.ids), sum(len(texts[text].compared) for text in tree.texts)
    pairs = count * count
    if uses_parts(model.model):
        pairs = sum((own.stop - own.start) * len(path) for own, path in tree.parts)
    return TokenCounts(count, compared, pairs, pairs)


def _tokens_needed(tree: TokenTree, texts: Sequence[Text]) -> TokenCounts:
    """What a run of a tree needs: each position attends to itself and those before it."""
    compared = {index for text in tree.texts for index in tree.at(text, texts[text].compared)}
    seen = [position + 1 for position in tree.positions]
    return TokenCounts(len(seen), len(compared), sum(seen), sum(seen[index] for index in compared))


def _linear(part: nn.Module) -> int:
    """Multiplications per position in a module's linear layers."""
    linear: list[Any] = [module for module in part.modules() if isinstance(module, nn.Linear)]
    return sum(module.in_features * module.out_features for module in linear)
