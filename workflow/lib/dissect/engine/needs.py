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
from dissect.engine.donors import Patching
from dissect.engine.packs import Pack
from dissect.engine.patches import Experiment, Returns, ReturnsAttention
from dissect.engine.skeleton import Entry, Layer, Skeleton
from dissect.engine.stages import Stage, stages_of
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
        names = [name for number in indices for name in checkpoint.layer_names(number)]
        return sum(self.of(*checkpoint.shapes[name]) for name in names)

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

    def activations(
        self, experiment: Experiment | None = None, *, heard: bool = True
    ) -> Callable[[int], int]:
        """Bytes that a layer needs beside its weights and its input, by the number of rows.

        Args:
            experiment: what is replaced; None: a plain run.
            heard: of a plain run, whether the first row is heard.
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
                if experiment is None and heard:
                    stack.enter_context(layer.heard())
                if experiment is not None and experiment.coefficients:
                    stack.enter_context(layer.with_mlp(Returns(blank(1))))
                if experiment is not None and experiment.attention:
                    stack.enter_context(layer.with_attention(ReturnsAttention(blank(1))))
                batch = blank(rows)
                return peak_bytes(lambda: layer(batch, arguments))

        one, two = measured(1), measured(2)
        return lambda rows: one + (rows - 1) * (two - one)


class DonorNeeds(Needs):
    """The memory of one donor's runs in a sweep.

    Args:
        unpatched: whether the unpatched run is among them.
    """

    def __init__(self, skeleton: Skeleton, patching: Patching, *, unpatched: bool) -> None:
        donor = patching.donor
        super().__init__(skeleton, donor.layouts, donor.recording.texts)
        self.donor = donor
        self.experiment = donor.experiment
        self.stages = stages_of(patching.windows, self.layers, unpatched=unpatched)
        self.runs = self.stages[-1].outside + self.stages[-1].closing
        self.most_rows = max(max(stage.outside, stage.inside) for stage in self.stages)
        self.plain = self.activations(heard=unpatched)
        self.patched = self.activations(self.experiment)

    def moments(self, index: int, call: int) -> list[Bytes]:
        """Runs outside a window pass a layer, then those inside one, then one that begins.

        Args:
            call: tokens of one call.
        """
        stage, rows = self.stages[index], max(1, call // self.tokens)
        outside, inside = min(rows, stage.outside), min(rows, stage.inside)
        moments = []
        if stage.outside:
            moments.append({"activations": self.plain(outside), "stand-ins": 0})
        if inside:
            # A call has copies of its runs; those of two calls can share what they were.
            copies = self._run * inside * (2 if stage.inside > inside else 1)
            activations = self.patched(inside) + copies
            moments.append({"activations": activations, "stand-ins": self._stand_ins(stage)})
        if stage.begins:
            moments.append({"activations": self.patched(1), "stand-ins": self._stand_ins(stage)})
        if inside or stage.begins:
            moments.append({"stand-ins": self._being_made()})
        return moments

    @property
    def _run(self) -> int:
        return self.of(self.tokens, self.hidden)

    def _stand_ins(self, stage: Stage) -> int:
        """What stands in for the replaced parts."""
        stand_ins = 0
        if self.donor.origins(0) is not None:
            stand_ins += self._run * (1 + stage.begins)  # what the unpatched run left, laid out
        if self.experiment.coefficients:
            stand_ins += self._run + self.of(self.tokens, self.coefficients)
        if self.experiment.attention:
            stand_ins += self._run
        return stand_ins

    def _being_made(self) -> int:
        """While a control's states or value vectors are made of the original's."""
        drawn = self.tokens * self.coefficients
        if self.experiment.value_vectors:
            drawn = self.hidden * self.coefficients
        elif not self.experiment.coefficients:
            drawn = self.tokens * self.hidden
        return self.donor.bytes_to_make(drawn, self.item)

    def states_at(self, index: int) -> int:
        """All runs' states while the largest pack is at a layer; other packs may be past it."""
        before, above = self._rows_around(index)
        others = max(before, above) * (self.all_tokens - self.tokens)
        return self.of(before * self.tokens + others, self.hidden)

    def resting(self, index: int) -> int:
        """All runs' states while another donor's runs are at a layer."""
        return self.of(max(self._rows_around(index)) * self.all_tokens, self.hidden)

    def _rows_around(self, index: int) -> tuple[int, int]:
        """How many states there are of a pack before a layer, and of one past it."""
        stage = self.stages[index]
        before = stage.outside + stage.inside
        if index and stage.inside:
            # A run that has ended shared its memory with others, which are still there.
            before += self.stages[index - 1].closing
        after = self.stages[index + 1] if index + 1 < self.layers else None
        return before, self.runs if after is None else after.outside + after.inside

    def rows_at_head(self, call: int) -> int:
        """Runs in a call of so many positions."""
        return min(max(1, call // self.compared), self.runs)


class SweepNeeds:
    """The memory of one sweep with its controls.

    Args:
        patchings: its donors; the first one's runs include the unpatched one.
    """

    def __init__(self, skeleton: Skeleton, patchings: Sequence[Patching]) -> None:
        self.donors = [
            DonorNeeds(skeleton, one, unpatched=one is patchings[0]) for one in patchings
        ]
        self.first = self.donors[0]
        self.tokens, self.compared = self.first.tokens, self.first.compared
        self.packs = len(self.first.packs)
        self.runs = " + ".join(str(one.runs) for one in self.donors)
        self.most_rows = max(one.most_rows for one in self.donors)
        self.most_runs = max(one.runs for one in self.donors)
        # A donor that lays its texts out like another one shares its masks and rotary tables.
        layouts = {tuple(one.packs): one for one in reversed(self.donors)}
        self.arguments = sum(one.arguments for one in layouts.values())
        self.other_layouts = [one for one in layouts.values() if one is not self.first]

    def entrance(self) -> Bytes:
        """While the packs are embedded."""
        moment = self.first.entrance() | {"masks and rotary tables": self.arguments}
        moment["states"] += sum(one.of(one.all_tokens, one.hidden) for one in self.other_layouts)
        return moment

    def in_layers(self, call: int) -> Bytes:
        """The fullest moment, while calls of so many tokens pass the layers."""
        moments = [
            moment for index in range(self.first.layers) for moment in self._moments(index, call)
        ]
        return max(moments, key=lambda moment: sum(moment.values()))

    def _moments(self, index: int, call: int) -> list[Bytes]:
        """The donors' runs pass a layer, one donor after the other."""
        first, begins = self.first, any(one.stages[index].begins for one in self.donors)
        common = {
            "a layer's weights": first.weights(index),
            "value vectors": self._value_vectors(),
            "masks and rotary tables": self.arguments,
        }
        # What the unpatched run of each pack read and left.
        read, left = first.hidden * begins, first.hidden + first.coefficients
        moments = []
        for donor in self.donors:
            resting = sum(one.resting(index) for one in self.donors if one is not donor)
            for place, moment in enumerate(donor.moments(index, call)):
                known = first.of(first.all_tokens, read + left)
                if donor is first and place == 0:
                    known -= first.of(first.tokens, left)  # being heard: in the activations
                states = donor.states_at(index) + resting
                both = {"states": states, "stand-ins": moment["stand-ins"] + known}
                moments.append(common | moment | both)
        return moments

    def at_head(self, call: int) -> Bytes:
        """While a call of so many positions passes the head."""
        first = self.first
        logits = max(
            one.of(one.rows_at_head(call) * one.compared, one.vocabulary) for one in self.donors
        )
        if getattr(first.skeleton.checkpoint.config, "final_logit_softcapping", None):
            logits *= 2
        # Of one text's logits: their difference to the original's and a product, both float32.
        scored = (2 if first.item == FLOAT32 else 3) * first.longest * first.vocabulary * FLOAT32
        states = sum(one.of(one.runs * one.all_tokens, one.hidden) for one in self.donors)
        states += max(one.of(one.runs * one.compared, one.hidden) for one in self.donors)
        return {
            "head": first.outer(head=True),
            "masks and rotary tables": self.arguments,
            "states": states,
            "logits": logits + scored,
            # Its logits and their probabilities, both float32.
            "the original's logits": 2 * first.compared * first.vocabulary * FLOAT32,
        }

    def _value_vectors(self) -> int:
        first = self.first
        wanted = any(one.experiment.value_vectors for one in self.donors)
        return first.of(first.hidden, first.coefficients) if wanted else 0


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
