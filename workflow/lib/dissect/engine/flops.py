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
from dissect.engine.donors import Patching
from dissect.engine.packs import Pack, pack_of, packs_of
from dissect.engine.patches import Donor, Experiment
from dissect.engine.skeleton import Layer, Skeleton
from dissect.engine.stages import Stage, stages_of
from dissect.study.windows import Window
from dissect.texts.spans import Text

log = logging.getLogger("dissect")


@dataclass(frozen=True)
class Flops:
    """Floating point operations: those done, and the least that the same results need."""

    done: int
    least: int


@dataclass(frozen=True)
class LayerWork:
    """What one run costs in one layer.

    Attributes:
        attention, mlp, down: multiplications per position in the linear layers of the attention,
            in those of the MLP, and in the MLP's down projection alone.
        ends: those of the attention's that make queries and its output.
        pair: per pair of positions that attention compares.
    """

    attention: int
    mlp: int
    down: int
    ends: int
    pair: int

    @staticmethod
    def of(skeleton: Skeleton) -> "LayerWork":
        layer, config = Layer(skeleton.layers[0], skeleton.checkpoint), skeleton.checkpoint.config
        heads = config.num_attention_heads
        width = heads * (getattr(config, "head_dim", None) or config.hidden_size // heads)
        return LayerWork(
            attention=_linear(layer.attention),
            mlp=_linear(layer.mlp),
            down=_linear(layer.down),
            ends=2 * config.hidden_size * width,
            pair=2 * width,
        )


@dataclass(frozen=True)
class Tokens:
    """What one run reads of a pack.

    Attributes:
        all: its tokens.
        compared: its compared positions.
        pairs: pairs of positions that attention compares.
        pairs_compared: those whose first is a compared position; only the least asks for them.
    """

    all: int
    compared: int
    pairs: int
    pairs_compared: int = 0


def count_sweep(
    skeleton: Skeleton,
    donor: Donor,
    windows: Sequence[Window],
    controls: Sequence[Patching] = (),
) -> Flops:
    """The operations of one sweep, with its controls.

    The least: each text's tokens once as far as texts begin alike; a run from its window on, and
    runs that are equal so far once; nothing of a part that is replaced or known from another run;
    attention between a token and what stands before it in its text; in the top layer, keys and
    values at all positions and everything else at the compared ones only. A control's tokens count
    once as far as its texts and what is put back into them agree.
    """
    every = [Patching(donor, windows), *controls]
    counts = [_count(skeleton, one, unpatched=one is every[0]) for one in every]
    return Flops(sum(one.done for one in counts), sum(one.least for one in counts))


def _count(skeleton: Skeleton, patching: Patching, *, unpatched: bool) -> Flops:
    """The operations of one donor's runs."""
    stages = stages_of(patching.windows, len(skeleton.layers), unpatched=unpatched)
    donor = patching.donor
    texts, work, experiment = donor.recording.texts, LayerWork.of(skeleton), donor.experiment
    packs = [_read(skeleton, layout, texts) for layout in donor.layouts]
    together = _needed(donor.layout_of(range(len(texts))), texts)
    rows = stages[-1].outside + stages[-1].closing
    head = _linear(skeleton.model.get_output_embeddings())
    done = sum(_done(work, stages, experiment, tokens) for tokens in packs)
    done += head * rows * sum(tokens.compared for tokens in packs)
    least = _least(work, stages, experiment, together) + head * rows * together.compared
    return Flops(2 * done, 2 * least)


def count_record(skeleton: Skeleton, texts: Sequence[Text]) -> Flops:
    """The operations of one recording, which is a single run that keeps every layer's states."""
    work, layers = LayerWork.of(skeleton), len(skeleton.layers)
    ids = [text.ids for text in texts]
    packs = [_read(skeleton, pack, texts) for pack in packs_of(ids)]
    together = _needed(pack_of(ids, range(len(ids))), texts)
    head = _linear(skeleton.model.get_output_embeddings()) * together.compared
    runs = [
        sum((work.attention + work.mlp) * tokens.all + work.pair * tokens.pairs for tokens in some)
        for some in (packs, [together])
    ]
    return Flops(*(2 * (layers * run + head) for run in runs))


@contextmanager
def timed(flops: Flops) -> Iterator[None]:
    """A block that does these operations; the log says how many, and how fast."""
    started = time.perf_counter()
    yield
    seconds = time.perf_counter() - started
    log.info(
        "%.3g FLOPs done in %.1f s (%.0f GFLOP/s); exact results need at least %.3g (1 : %.2f)",
        *(flops.done, seconds, flops.done / seconds / 1e9, flops.least, flops.done / flops.least),
    )


def _done(work: LayerWork, stages: Sequence[Stage], experiment: Experiment, tokens: Tokens) -> int:
    """Multiplications that `Front.pass_through` does in all layers."""
    attention = work.attention * tokens.all + work.pair * tokens.pairs
    total = 0
    for stage in stages:
        # Above the top layer, only compared positions are read.
        positions = tokens.compared if stage is stages[-1] else tokens.all
        total += stage.outside * (attention + work.mlp * positions)
        total += _patched(work, stage, experiment, attention, positions)
        if experiment.coefficients:
            # Made from the recorded coefficients once for each of the two kinds of runs.
            total += ((stage.inside > 0) + stage.begins) * work.down * positions
    return total


def _least(work: LayerWork, stages: Sequence[Stage], experiment: Experiment, tokens: Tokens) -> int:
    """Multiplications that no way to the same results can leave out."""
    total = 0
    for stage in stages:
        attention, positions = work.attention * tokens.all + work.pair * tokens.pairs, tokens.all
        if stage is stages[-1]:
            positions = tokens.compared
            attention = work.attention * tokens.all - work.ends * (tokens.all - positions)
            attention += work.pair * tokens.pairs_compared
        total += stage.outside * (attention + work.mlp * positions)
        total += _patched(work, stage, experiment, attention, positions)
        if experiment.coefficients and stage.inside + stage.begins:
            total += work.down * positions
    return total


def _patched(
    work: LayerWork, stage: Stage, experiment: Experiment, attention: int, positions: int
) -> int:
    """Multiplications of the runs inside a window, beside what is made of the recorded states."""
    total = 0
    if not experiment.attention:
        total += stage.inside * attention  # where a window begins, it is the unpatched run's
    if experiment.value_vectors:
        total += (stage.inside * work.mlp + stage.begins * work.down) * positions
    elif not experiment.coefficients:
        total += (stage.inside + stage.begins) * work.mlp * positions
    return total


def _read(skeleton: Skeleton, pack: Pack, texts: Sequence[Text]) -> Tokens:
    """What a run does with a pack: attention hides pairs that are not seen only after comparing."""
    count, compared = len(pack.ids), sum(len(texts[member].compared) for member in pack.members)
    pairs = count * count
    if uses_parts(skeleton.model):
        pairs = sum((own.stop - own.start) * len(seen) for own, seen in pack.parts)
    return Tokens(count, compared, pairs)


def _needed(pack: Pack, texts: Sequence[Text]) -> Tokens:
    """What a run needs of a pack: a position sees itself and those before it."""
    compared = {
        place for member in pack.members for place in pack.places(member, texts[member].compared)
    }
    seen = [position + 1 for position in pack.positions]
    return Tokens(len(seen), len(compared), sum(seen), sum(seen[place] for place in compared))


def _linear(part: nn.Module) -> int:
    """Multiplications per position in a module's linear layers."""
    linear: list[Any] = [module for module in part.modules() if isinstance(module, nn.Linear)]
    return sum(module.in_features * module.out_features for module in linear)
