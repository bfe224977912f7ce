"""What each experiment patches into a layer, and how. Four of them are the paper's (section 3).

A patched activation is never computed: a module that returns the donor's, or what the host makes of
it, takes its place. The donor's weights take the place of the host's.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import torch
from torch import Tensor, nn

from dissect import terms
from dissect.checkpoints.families import LAYER_PARTS, LayerPart
from dissect.checkpoints.reader import Checkpoint
from dissect.engine.recording import Recording
from dissect.engine.schedule import LayerRange
from dissect.engine.streamed_model import ATTENTION, COEFFICIENTS, INPUTS, Layer
from dissect.engine.token_tree import TokenTree, token_tree
from dissect.inputs.windows import Window


@dataclass(frozen=True)
class Experiment:
    """Which of the donor's components are patched into the host, and which model is which.

    Attributes:
        coefficients, attention: the activations.
        weights: which parts of a layer's weights are restored.
        residual: the residual stream above the window, so nothing below it is the host's any more.
        outside_layers: the host has the donor's embedding, final norm and head in every window.
        noising: the copy is patched into the original; else the original into the copy.
    """

    coefficients: bool = False
    attention: bool = False
    weights: frozenset[LayerPart] = frozenset()
    residual: bool = False
    outside_layers: bool = False
    noising: bool = False

    @property
    def has_activations(self) -> bool:
        """Whether any activation of the donor is patched in, or weights alone."""
        return self.coefficients or self.attention or self.residual

    @property
    def keeps_attention(self) -> bool:
        """Whether the attention's output is the unpatched run's where the layer's input is."""
        return not self.attention and self.weights.isdisjoint({"attention", "norms"})

    @property
    def keeps_coefficients(self) -> bool:
        """Whether the MLP coefficients are, too."""
        is_patched = self.coefficients or "gate_and_up" in self.weights
        return self.keeps_attention and not is_patched


EXPERIMENTS: dict[str, Experiment] = {
    terms.MLP_COEFFICIENTS: Experiment(coefficients=True),
    terms.ATTENTION: Experiment(attention=True),
    terms.BOTH: Experiment(coefficients=True, attention=True),
    terms.VALUE_VECTORS: Experiment(weights=frozenset({"value_vectors"})),
    terms.ATTENTION_WEIGHTS: Experiment(weights=frozenset({"attention"})),
    terms.GATE_AND_UP_WEIGHTS: Experiment(weights=frozenset({"gate_and_up"})),
    terms.LAYER_WEIGHTS: Experiment(weights=frozenset(LAYER_PARTS) - {"norms"}),
    terms.ALL_WEIGHTS: Experiment(weights=frozenset(LAYER_PARTS), outside_layers=True),
    "noising_mlp_coefficients": Experiment(coefficients=True, noising=True),
    "noising_attention": Experiment(attention=True, noising=True),
    "noising_mlp_coefficients_and_attention": Experiment(True, True, noising=True),
    "noising_residual": Experiment(residual=True, noising=True),
}


@dataclass(frozen=True)
class PatchSite:
    """Where activations are patched: one layer, for the runs of one token tree.

    Attributes:
        layer, tree: their indices.
        mlp_at: the only tokens at which the MLP runs (`Layer.__call__`); None: all.
        captured: what `Layer.capture` left of the unpatched run, (1, tokens, width) each.
    """

    layer: int
    tree: int
    device: torch.device
    mlp_at: list[int] | None
    captured: Mapping[str, Tensor]


@dataclass(eq=False)
class Donor:
    """The model that is patched in, as far as an experiment needs it.

    Attributes:
        recording: its activations on the texts.
        checkpoint: its weights; read only where the experiment restores weights.
        name: the column `donor`.
    """

    experiment: Experiment
    recording: Recording
    checkpoint: Checkpoint
    name: ClassVar[str] = terms.ORIGINAL

    @cached_property
    def sources(self) -> list[list[int]] | None:
        """Per text and token, a number for what is patched in; None: the text's own activation.

        Texts that begin alike share a token of a tree only as far as their sources agree.
        """
        return None

    @cached_property
    def trees(self) -> list[TokenTree]:
        """For each tree of the recording, the tree of the patched runs."""
        return [self.tree_of(tree.texts) for tree in self.recording.trees]

    def tree_of(self, texts: Sequence[int]) -> TokenTree:
        """The tree that patched runs of some of the texts, by their numbers, would have."""
        return token_tree([text.ids for text in self.recording.texts], texts, self.sources)

    def rearranged(self, captured: Mapping[str, Tensor], tree: int) -> Mapping[str, Tensor]:
        """What `Layer.capture` left, for a tree that may split tokens the unpatched run shares."""
        if self.sources is None:
            return captured  # the trees are equal
        origins = self.trees[tree].flatten(self.recording.trees[tree].paths)
        # Coefficients are left out: in the top layer they exist at compared positions only, and
        # donors with sources of their own do not read them.
        return {name: captured[name][:, origins] for name in (INPUTS, ATTENTION)}

    def coefficients(self, site: PatchSite) -> Tensor:
        """The MLP coefficients where the MLP runs, (1, tokens of `mlp_at`, width)."""
        activations = self.activations(COEFFICIENTS, site)
        return activations if site.mlp_at is None else activations[:, site.mlp_at]

    def activations(self, component: str, site: PatchSite) -> Tensor:
        """A component of the donor at a site, (1, tokens, width)."""
        return self.recording.activations(site.layer, component, site.tree).to(site.device)

    def weights(self, index: int, dtype: torch.dtype, device: torch.device) -> dict[str, Tensor]:
        """The donor's weights of a layer that are restored, by their names inside it."""
        return self.checkpoint.read_parts(index, self.experiment.weights, dtype, device)

    def patched_weights(self, layer: Layer, index: int) -> AbstractContextManager[None]:
        """A context in which a layer has those of the donor's weights that are restored."""
        parts = self.experiment.weights
        if not parts:
            return nullcontext()
        tensors = self.weights(index, layer.down.weight.dtype, layer.down.weight.device)
        self.checkpoint.readahead(self.checkpoint.layer_names(index + 1, parts))
        return layer.with_weights(tensors)

    @contextmanager
    def patched_activations(
        self, layer: Layer, site: PatchSite, *, starts: bool = False
    ) -> Iterator[None]:
        """A context in which a layer runs patched, for any number of rows of one tree.

        Args:
            layer: with patched weights (`patched_weights`).
            starts: for rows whose window starts here: their input is the unpatched run's, so
                whatever the patch does not change is taken from that run.
        """
        experiment = self.experiment
        attention = coefficients = None
        if experiment.attention:
            attention = self.activations(ATTENTION, site)
        elif starts and experiment.keeps_attention:
            attention = site.captured[ATTENTION]
        if experiment.coefficients:
            coefficients = self.coefficients(site)
        elif starts and experiment.keeps_coefficients:
            coefficients = site.captured[COEFFICIENTS]
        with ExitStack() as stack:
            if coefficients is not None:
                stack.enter_context(layer.with_mlp(ConstantOutput(layer.down(coefficients))))
            if attention is not None:
                stack.enter_context(layer.with_attention(ConstantAttention(attention)))
            yield


@dataclass(frozen=True)
class DonorWindows:
    """A donor, and the windows into which it is patched."""

    donor: Donor
    windows: Sequence[Window]

    @property
    def ranges(self) -> list[LayerRange]:
        """First and last layer of each window's run."""
        return [self.range_of(window) for window in self.windows]

    def range_of(self, window: Window) -> LayerRange:
        """The layers in which a window's run is patched: of a residual stream, only the last."""
        first = window.last if self.donor.experiment.residual else window.first
        return first, window.last


class ConstantOutput(nn.Module):
    """Takes an MLP's place: whatever it is given, it returns one output.

    Args:
        output: (1, tokens, hidden); the same for every row, so it broadcasts.
    """

    def __init__(self, output: Tensor) -> None:
        super().__init__()
        self.output = output

    def forward(self, _hidden: Tensor) -> Tensor:
        return self.output


class ConstantAttention(ConstantOutput):
    """Takes an attention module's place, which returns its output and its attention weights."""

    def forward(  # type: ignore[override]
        self, hidden_states: Tensor, **_arguments: object
    ) -> tuple[Tensor, None]:
        return self.output, None
