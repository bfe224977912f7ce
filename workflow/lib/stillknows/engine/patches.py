"""What each experiment patches into a layer, and the donors that it comes from, with controls."""

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate, chain, cycle, islice

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

from stillknows import terms
from stillknows.engine.recording import Recording
from stillknows.engine.streamed_model import ATTENTION, COEFFICIENTS, INPUTS, RESIDUAL
from stillknows.engine.token_tree import TokenTree, token_tree
from stillknows.engine.windows import LayerRange, Window
from stillknows.errors import StudyError
from stillknows.models.families import LAYER_PARTS, LayerPart
from stillknows.models.reader import Checkpoint
from stillknows.terms import CONTROLS, MEAN_OF_QUESTIONS, NOISE, OTHER_QUESTION, REFERENCE, SELF

SourceRows = Sequence[Sequence[tuple[int, ...]]]
"""Per text and token, the rows of a recording whose mean is patched in."""


@dataclass(frozen=True)
class Experiment:
    """Which of the donor's components are patched into the host, and which model is which.

    coefficients, attention: the activations. weights: the parts of a layer's weights that are
    restored. residual: the residual stream above the window, so nothing below it is the host's any
    more. outside_layers: the donor's embedding, final norm and head too. noising: the copy is
    patched into the original; else the original into the copy.
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
        recording: its activations on the texts; checkpoint: its weights.
        windows: the layers into which it is patched.
        name: the column `donor`.
        source_rows: the recording's rows that are patched in; None: each token's own.
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
        """Per tree of the recording, that of the patched runs: they share what is patched alike."""
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

        captured: what the unpatched run left of the layer (`on_own_tree`). mlp_at: the only tokens
        at which the MLP runs, and so those of the coefficients.
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


log = logging.getLogger("stillknows")
CPU = torch.device("cpu")


def question_rows(control: str, recording: Recording) -> SourceRows:
    """The rows of other questions of the concept that a control patches into each question.

    other_question: the next question (for the last, the first), cut or repeated to the same length.
    aligned_question: the next, aligned where the answer begins. mean_of_questions: all others that
    have a token there, aligned likewise; the question's own where none has.
    """
    texts = recording.texts
    rows = [recording.rows_of(text) for text in range(len(texts))]
    source_rows: list[list[tuple[int, ...]]] = []
    for text, own_rows in enumerate(rows):
        after = (text + 1) % len(texts)
        others = [other for other in range(len(texts)) if other != text]
        if control == OTHER_QUESTION:
            repeated = islice(cycle(rows[after]), len(own_rows))
            source_rows.append([(row,) for row in repeated])
            continue
        rows_by_position = []
        for other in others if control == MEAN_OF_QUESTIONS else [after]:
            shift = texts[text].answer.start - texts[other].answer.start
            rows_by_position.append(dict(enumerate(rows[other], start=shift)))
        source_rows.append(
            [
                tuple(at[position] for at in rows_by_position if position in at) or (own,)
                for position, own in enumerate(own_rows)
            ]
        )
    return source_rows


@dataclass(eq=False)
class Noise(Donor):
    """Gaussian noise with the norm of the original's activation at each position, or weights.

    Of a matrix each column has the original's norm (in the down projection: each value vector), of
    a vector the whole. Drawn on the CPU, so that it is the same on every device. It depends on the
    seed, the concept's texts, the layer and the component alone: all methods get the same noise.
    """

    name: str = NOISE
    seed: int = 0

    def activations(self, layer: int, component: str, tree: int) -> Tensor:
        recorded = self.recording.activations(layer, component, tree)
        return noise_like(recorded, -1, self._generator(component, layer, tree))

    def weights(self, layer: int, dtype: torch.dtype, device: torch.device) -> dict[str, Tensor]:
        noise = {}
        for part in self.experiment.weights:
            generator = self._generator(part, layer)
            originals = self.checkpoint.read_parts(layer, [part], dtype, CPU)
            for name, original in sorted(originals.items()):
                noise[name] = noise_like(original, 0, generator).to(device)
        return noise

    def _generator(self, *what: object) -> torch.Generator:
        texts = [text.ids for text in self.recording.texts]
        digest = hashlib.sha256(repr((self.seed, texts, *what)).encode()).digest()
        return torch.Generator().manual_seed(int.from_bytes(digest[:8]) >> 1)


@dataclass(eq=False)
class SelfPatch(Donor):
    """The host itself: its unpatched run's activations, and its own weights (`checkpoint`)."""

    name: str = SELF

    def states(
        self, _layer: int, _tree: int, captured: Mapping[str, Tensor], _mlp_at: list[int] | None
    ) -> dict[str, Tensor]:
        return {component: captured[component] for component in self.experiment.components}


def noise_like(values: Tensor, dimension: int, generator: torch.Generator) -> Tensor:
    """Gaussian noise in the shape and dtype of `values`, with their norms along a dimension."""
    noise = torch.randn(values.shape, generator=generator)
    norms = torch.linalg.vector_norm(values, dim=dimension, keepdim=True, dtype=torch.float32)
    noise *= norms / torch.linalg.vector_norm(noise, dim=dimension, keepdim=True)
    return noise.to(values.dtype)


def controls_of(
    original: Donor,
    names: Sequence[str] = (),
    layers: Sequence[int] = (),
    seed: int = 0,
    reference: Donor | None = None,
) -> list[Donor]:
    """The controls of a sweep: donors `names` in the windows whose `layer` is in `layers`.

    Args:
        original: the donor of the sweep itself, with all its windows.
        reference: the reference model as donor; None in a reference model's own sweep.

    Raises:
        StudyError: for a layer that the model does not have.
    """
    top = max((window.layer for window in original.windows), default=0)
    unknown = [layer for layer in layers if layer > top]
    if names and unknown:
        raise StudyError(
            f"config: controls.layers: {unknown[0]} is not a layer of this model; "
            f"allowed: 0 to {top}"
        )
    windows = [window for window in original.windows if window.layer in layers]
    original, experiment = replace(original, windows=windows), original.experiment
    recording = original.recording
    donors: list[Donor] = []
    for name in [name for name in CONTROLS if name in names and windows]:
        if name == NOISE:
            donors.append(Noise(experiment, recording, original.checkpoint, windows, seed=seed))
        elif name == REFERENCE and reference is not None:
            donors.append(replace(reference, windows=windows, name=REFERENCE))
        elif name == REFERENCE:
            log.info("control %s: left out, this is the reference model's own sweep", name)
        elif experiment.weights:
            log.info("control %s: left out, weights do not depend on the question", name)
        elif len(recording.texts) == 1:
            log.info("control %s: left out, the concept has a single question", name)
        else:
            rows = question_rows(name, recording)
            donors.append(replace(original, name=name, source_rows=rows))
    return donors
