"""What each experiment patches into a layer, and from where. Four are the paper's (section 3)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, chain

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

from stillknows import terms
from stillknows.engine.recording import Recording
from stillknows.engine.streamed_model import ATTENTION, COEFFICIENTS, INPUTS, RESIDUAL
from stillknows.engine.token_tree import TokenTree, token_tree
from stillknows.engine.windows import LayerRange, Window
from stillknows.models.families import LAYER_PARTS, LayerPart
from stillknows.models.reader import Checkpoint

SourceRows = Sequence[Sequence[tuple[int, ...]]]
"""Per text and token, the rows of a recording whose mean is patched in."""


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
    def components(self) -> list[str]:
        """The activations that are patched; none where weights alone are."""
        return [name for name in (COEFFICIENTS, ATTENTION, RESIDUAL) if getattr(self, name)]

    @property
    def unchanged(self) -> list[str]:
        """The components that a patch leaves as they are where the layer's input is unpatched."""
        if self.attention or not self.weights.isdisjoint({"attention", "norms"}):
            return []
        is_changed = self.coefficients or "gate_and_up" in self.weights
        return [ATTENTION] if is_changed else [ATTENTION, COEFFICIENTS]


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


@dataclass(eq=False)
class Donor:
    """The model that is patched in, and where.

    Attributes:
        recording: its activations on the texts.
        checkpoint: its weights.
        windows: the layers into which it is patched.
        name: the column `donor`.
        source_rows: what is patched in, from the recording; None: each token's own activations.
    """

    experiment: Experiment
    recording: Recording
    checkpoint: Checkpoint
    windows: Sequence[Window] = ()
    name: str = terms.ORIGINAL
    source_rows: SourceRows | None = None

    def patched_layers(self, window: Window) -> LayerRange:
        """The layers in which a window's run is patched: of a residual stream, only the last."""
        first = window.last if self.experiment.residual else window.first
        return first, window.last

    @cached_property
    def trees(self) -> list[TokenTree]:
        """For each tree of the recording, the tree of the patched runs.

        Texts share a token only as far as what is patched into them is the same.
        """
        ids = [text.ids for text in self.recording.texts]
        return [token_tree(ids, tree.texts, self.source_rows) for tree in self.recording.trees]

    def on_own_tree(self, captured: Mapping[str, Tensor], tree: int) -> Mapping[str, Tensor]:
        """What `Layer.capture` kept of the recording's tree, on the tree of the patched runs."""
        if self.source_rows is None:
            return captured  # the trees are equal
        indices = self.trees[tree].flatten(self.recording.trees[tree].paths)
        # In the top layer, coefficients exist at compared positions only. Experiments on
        # activations do not read them.
        return {name: captured[name][:, indices] for name in (INPUTS, ATTENTION)}

    def states(
        self, layer: int, tree: int, captured: Mapping[str, Tensor], mlp_at: list[int] | None
    ) -> dict[str, Tensor]:
        """The activations that are patched in, by component, (1, tokens, width) each.

        Args:
            captured: what the unpatched run left of the layer (`on_own_tree`).
            mlp_at: the only tokens at which the MLP runs, and so those of the coefficients.
        """
        states = {
            component: self.activations(layer, component, tree).to(captured[INPUTS].device)
            for component in self.experiment.components
        }
        if COEFFICIENTS in states and mlp_at is not None:
            states[COEFFICIENTS] = states[COEFFICIENTS][:, mlp_at]
        return states

    def activations(self, layer: int, component: str, tree: int) -> Tensor:
        """A component of the donor at all tokens of a tree, (1, tokens, width), on the CPU."""
        if self.source_rows is None:
            return self.recording.activations(layer, component, tree)
        texts = self.trees[tree].texts
        rows = self.trees[tree].flatten([self.source_rows[text] for text in texts])
        starts = [*accumulate(map(len, rows), initial=0)][:-1]
        recorded = self.recording.activations(layer, component)[0]
        indices = torch.tensor([*chain.from_iterable(rows)])
        means = embedding_bag(indices, recorded.float(), torch.tensor(starts), mode="mean")
        return means.to(recorded.dtype)[None]

    def weights(self, layer: int, dtype: torch.dtype, device: torch.device) -> dict[str, Tensor]:
        """The donor's weights of a layer that are restored, by their names inside it."""
        parts = self.experiment.weights
        if not parts:
            return {}
        weights = self.checkpoint.read_parts(layer, parts, dtype, device)
        self.checkpoint.readahead(self.checkpoint.layer_names(layer + 1, parts))
        return weights
