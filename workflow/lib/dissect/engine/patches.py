"""What each experiment patches into a layer, and how: the paper's four interventions (section 3).

A patched activation is never computed: a module that returns the donor's, or what the host makes of
it, takes its place. Value vectors take the place of the host's weights.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import torch
from torch import Tensor, nn

from dissect import terms
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
        residual: the residual stream above the window, so nothing below it is the host's any more.
        noising: the copy is patched into the original; else the original into the copy.
    """

    coefficients: bool = False
    attention: bool = False
    value_vectors: bool = False
    residual: bool = False
    noising: bool = False

    @property
    def has_activations(self) -> bool:
        """Whether any activation of the donor is patched in, or weights alone."""
        return self.coefficients or self.attention or self.residual


EXPERIMENTS: dict[str, Experiment] = {
    terms.MLP_COEFFICIENTS: Experiment(coefficients=True),
    terms.ATTENTION: Experiment(attention=True),
    terms.BOTH: Experiment(coefficients=True, attention=True),
    terms.VALUE_VECTORS: Experiment(value_vectors=True),
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
        checkpoint: its weights; read only where the experiment restores value vectors.
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

    def value_vectors(self, index: int, dtype: torch.dtype, device: torch.device) -> Tensor:
        """The donor's value vectors of a layer, (hidden, coefficients)."""
        return self.checkpoint.read_value_vectors(index, dtype, device)

    def patched_weights(self, layer: Layer, index: int) -> AbstractContextManager[None]:
        """A context in which a layer has the donor's value vectors, if the experiment says so."""
        if not self.experiment.value_vectors:
            return nullcontext()
        weight = layer.down.weight
        value_vectors = self.value_vectors(index, weight.dtype, weight.device)
        self.checkpoint.readahead([self.checkpoint.value_vectors_name(index + 1)])
        return layer.with_value_vectors(value_vectors)

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
        attention = site.captured[ATTENTION] if starts else None
        coefficients = None
        if starts and self.experiment.value_vectors:
            coefficients = site.captured[COEFFICIENTS]
        if self.experiment.attention:
            attention = self.activations(ATTENTION, site)
        if self.experiment.coefficients:
            coefficients = self.coefficients(site)
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
