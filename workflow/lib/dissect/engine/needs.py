"""What a sweep or a recording holds in memory at its fullest moments, by what holds it.

Bytes of tensors on the computing device. Weights, states and the like follow from shapes; a
layer's inner activations from a walk through it on the meta device (engine.allocations).
"""

import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import cached_property
from typing import Any

import torch
from torch.utils._pytree import tree_leaves, tree_map_only

from dissect.engine.allocations import peak_bytes
from dissect.engine.packs import Pack
from dissect.engine.patches import Donor, Experiment, Returns, ReturnsAttention
from dissect.engine.skeleton import Entry, Layer, Skeleton
from dissect.engine.stages import stages_of
from dissect.study.windows import Window
from dissect.texts.spans import Text

Bytes = dict[str, int]  # by kind
META = torch.device("meta")
FLOAT32 = 4  # bytes


class Needs:
    """The memory of reading packs of texts with a model, one layer at a time.

    Args:
        skeleton: the model.
        packs: what is read.
        texts: the packs' texts, for their compared positions.
    """

    def __init__(self, skeleton: Skeleton, packs: Sequence[Pack], texts: Sequence[Text]) -> None:
        # One of its own: what others have hooked into theirs is no part of this.
        self.skeleton = Skeleton(skeleton.checkpoint, skeleton.dtype, skeleton.device)
        self.packs = packs
        self.item: int = skeleton.dtype.itemsize
        self.hidden: int = skeleton.checkpoint.config.hidden_size
        self.vocabulary: int = skeleton.checkpoint.config.vocab_size
        self.layers = len(skeleton.layers)
        self.largest = max(packs, key=lambda pack: len(pack.ids))
        self.tokens = len(self.largest.ids)
        self.all_tokens = sum(len(pack.ids) for pack in packs)
        self.longest = max(len(text.compared) for text in texts)  # compared positions of a text
        counts = [sum(len(texts[member].compared) for member in pack.members) for pack in packs]
        self.compared = max(counts)
        self.all_compared = sum(counts)

    @cached_property
    def entry(self) -> Entry:
        """What the layers are given for the largest pack."""
        with self.skeleton.entrance(blank=True) as enter:
            return enter.blank(self.largest)

    @cached_property
    def arguments(self) -> int:
        """Masks and rotary tables of all packs, as large as if all were like the largest."""
        return len(self.packs) * _storage_bytes(self.entry.arguments)

    @cached_property
    def coefficients(self) -> int:
        """How many coefficients a layer has."""
        down: Any = Layer(self.skeleton.layers[0], self.skeleton.checkpoint).down
        return int(down.in_features)

    def of(self, *shape: int) -> int:
        """Bytes of a tensor in the computation's number format."""
        return math.prod(shape) * self.item

    def weights(self, index: int) -> int:
        """Bytes of a layer's weights; where the next layer's are read ahead, of both."""
        checkpoint = self.skeleton.checkpoint
        indices = (index, index + 1) if self.skeleton.reads_ahead else (index,)
        prefixes = tuple(f"{checkpoint.layers_path}.{number}." for number in indices)
        return sum(
            self.of(*shape)
            for name, shape in checkpoint.shapes.items()
            if name.startswith(prefixes)
        )

    def outer(self, *, embedding: bool = False, head: bool = False) -> int:
        """Bytes of the parameters outside the layers."""
        sources = set(self.skeleton.outer_sources(embedding=embedding, head=head).values())
        return sum(self.of(*self.skeleton.checkpoint.shapes[name]) for name in sources)

    def entrance(self) -> Bytes:
        """While the packs are embedded."""
        return {
            "embedding": self.outer(embedding=True),
            "states": self.of(self.all_tokens, self.hidden),
            "masks and rotary tables": self.arguments,
            "activations": 2 * self.of(self.tokens, self.hidden),
        }

    def activations(self, experiment: Experiment | None = None) -> Callable[[int], int]:
        """Bytes that a layer needs beside its weights and its input, by the number of rows.

        Args:
            experiment: what is replaced; None: a plain run, of which the first row is heard.
        """
        layer = Layer(self.skeleton.layers[0], self.skeleton.checkpoint)
        arguments = tree_map_only(
            torch.Tensor, lambda tensor: tensor.to(META), self.entry.arguments[0]
        )

        def blank(rows: int) -> torch.Tensor:
            shape = (rows, self.tokens, self.hidden)
            return torch.empty(shape, dtype=self.skeleton.dtype, device=META)

        def measured(rows: int) -> int:
            with ExitStack() as stack:
                if experiment is None:
                    stack.enter_context(layer.heard())
                elif experiment.coefficients:
                    stack.enter_context(layer.with_mlp(Returns(blank(1))))
                if experiment is not None and experiment.attention:
                    stack.enter_context(layer.with_attention(ReturnsAttention(blank(1))))
                batch = blank(rows)
                return peak_bytes(lambda: layer(batch, arguments))

        one, two = measured(1), measured(2)
        return lambda rows: one + (rows - 1) * (two - one)


class SweepNeeds(Needs):
    """The memory of one sweep."""

    def __init__(self, skeleton: Skeleton, donor: Donor, windows: Sequence[Window]) -> None:
        super().__init__(skeleton, donor.recording.packs, donor.recording.texts)
        self.experiment = donor.experiment
        self.stages = stages_of(windows, self.layers)
        self.runs = self.stages[-1].outside + self.stages[-1].closing
        self.most_rows = max(max(stage.outside, stage.inside) for stage in self.stages)
        self.plain, self.patched = self.activations(), self.activations(self.experiment)

    def in_layers(self, rows: int) -> list[Bytes]:
        """While a call of so many rows passes a layer: each layer's fullest moment."""
        return [
            max(self._moments(index, rows), key=lambda moment: sum(moment.values()))
            for index in range(self.layers)
        ]

    def _moments(self, index: int, rows: int) -> list[Bytes]:
        """Runs outside a window pass a layer, then those inside one, then one that begins."""
        stage = self.stages[index]
        common = {
            "a layer's weights": self.weights(index),
            "value vectors": self._value_vectors(),
            "masks and rotary tables": self.arguments,
            "states": self._states(index),
        }
        run = self.of(self.tokens, self.hidden)
        outside, inside = min(rows, stage.outside), min(rows, stage.inside)
        moments = [{"activations": self.plain(outside), "stand-ins": run * stage.begins}]
        # What the unpatched run left, and what stands in for the replaced parts.
        stand_ins = run * (1 + stage.begins) + self.of(self.tokens, self.coefficients)
        if self.experiment.coefficients:
            stand_ins += run + self.of(self.tokens, self.coefficients)
        if self.experiment.attention:
            stand_ins += run
        if inside:
            # A call has copies of its runs; those of two calls can share what they were.
            copies = run * inside * (2 if stage.inside > inside else 1)
            activations = self.patched(inside) + copies
            moments.append({"activations": activations, "stand-ins": stand_ins})
        if stage.begins:
            moments.append({"activations": self.patched(1), "stand-ins": stand_ins})
        return [common | moment for moment in moments]

    def at_head(self, rows: int) -> Bytes:
        """While a call of so many rows passes the head."""
        logits = self.of(rows * self.compared, self.vocabulary)
        if getattr(self.skeleton.checkpoint.config, "final_logit_softcapping", None):
            logits *= 2
        # Of one text's logits: their difference to the original's and a product, both float32.
        scored = (2 if self.item == FLOAT32 else 3) * self.longest * self.vocabulary * FLOAT32
        return {
            "head": self.outer(head=True),
            "masks and rotary tables": self.arguments,
            "states": self.of(self.runs * (self.all_tokens + self.compared), self.hidden),
            "logits": logits + scored,
            # Its logits and their probabilities, both float32.
            "the original's logits": 2 * self.compared * self.vocabulary * FLOAT32,
        }

    def _states(self, index: int) -> int:
        """All runs' states while the largest pack is at a layer; other packs may be past it."""
        stage = self.stages[index]
        before = stage.outside + stage.inside
        if index and stage.inside:
            # A run that has ended shared its memory with others, which are still there.
            before += self.stages[index - 1].closing
        after = self.stages[index + 1] if index + 1 < self.layers else None
        above = self.runs if after is None else after.outside + after.inside
        others = max(before, above) * (self.all_tokens - self.tokens)
        return self.of(before * self.tokens + others, self.hidden)

    def _value_vectors(self) -> int:
        return self.of(self.hidden, self.coefficients) if self.experiment.value_vectors else 0


class RecordNeeds(Needs):
    """The memory of one recording."""

    def __init__(self, skeleton: Skeleton, packs: Sequence[Pack], texts: Sequence[Text]) -> None:
        super().__init__(skeleton, packs, texts)
        self.plain = self.activations()

    def in_last_layer(self) -> Bytes:
        """While the last layer reads the largest pack; the recording has grown by then."""
        return {
            "a layer's weights": self.weights(self.layers - 1),
            "masks and rotary tables": self.arguments,
            "states": self.of(2 * self.all_tokens, self.hidden),
            "activations": self.plain(1),
            "recording": self._recording(),
        }

    def at_head(self) -> Bytes:
        """While the last text's logits are made."""
        return {
            "head": self.outer(head=True),
            "masks and rotary tables": self.arguments,
            "states": self.of(self.all_tokens, self.hidden),
            "logits": self.of(2 * self.all_compared, self.vocabulary),
            "recording": self._recording(),
        }

    def _recording(self) -> int:
        """What is kept; it lies in the machine's own memory."""
        if self.skeleton.device.type != "cpu":
            return 0
        per_token = self.layers * (self.hidden + self.coefficients)
        return self.of(self.all_tokens, per_token)


def _storage_bytes(tree: object) -> int:
    """Bytes of the tensors in a tree, each storage once."""
    storages = {
        leaf.untyped_storage()._cdata: leaf.untyped_storage().nbytes()
        for leaf in tree_leaves(tree)
        if isinstance(leaf, torch.Tensor)
    }
    return sum(storages.values())
