"""Other donors than the original on the same question: the controls of a recovery.

A score shows recovery, not that the original's activations on this very question were needed. So
the same windows are patched with other activations: the original's on other questions of the
concept, those of a model that never learned the concept, and noise of the same norm.
"""

import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from stillknows.engine.patches import Donor, SourceRows
from stillknows.engine.recording import Recording
from stillknows.errors import StudyError
from stillknows.terms import (
    ALIGNED_QUESTION,
    CONTROLS,
    MEAN_OF_QUESTIONS,
    NOISE,
    OTHER_QUESTION,
    REFERENCE,
    SELF,
)

log = logging.getLogger("stillknows")
CPU = torch.device("cpu")


def next_question(recording: Recording) -> SourceRows:
    """The concept's next question (for the last, the first), cut or repeated to the same length."""
    texts = recording.texts
    rows = [recording.rows_of((text + 1) % len(texts)) for text in range(len(texts))]
    return [
        [(text_rows[position % len(text_rows)],) for position in range(len(text.ids))]
        for text, text_rows in zip(texts, rows, strict=True)
    ]


def next_question_aligned(recording: Recording) -> SourceRows:
    """The next question, aligned where the answer begins."""
    texts = range(len(recording.texts))
    return [aligned(recording, text, [(text + 1) % len(texts)]) for text in texts]


def mean_of_other_questions(recording: Recording) -> SourceRows:
    """All other questions that have a token there, aligned where the answer begins."""
    texts = range(len(recording.texts))
    return [aligned(recording, text, [n for n in texts if n != text]) for text in texts]


def aligned(recording: Recording, text: int, others: Sequence[int]) -> list[tuple[int, ...]]:
    """Per token of a text, the rows of others that are as far from the beginning of the answer.

    Where no other text has such a token, the text's own row.
    """
    texts, rows_by_position = recording.texts, []
    for other in others:
        shift = texts[text].answer.start - texts[other].answer.start
        rows = enumerate(recording.rows_of(other), start=shift)
        rows_by_position.append(dict(rows))
    return [
        tuple(rows[position] for rows in rows_by_position if position in rows) or (own,)
        for position, own in enumerate(recording.rows_of(text))
    ]


# By the control's name. There are no other questions for weights.
QUESTIONS: Mapping[str, Callable[[Recording], SourceRows]] = {
    OTHER_QUESTION: next_question,
    ALIGNED_QUESTION: next_question_aligned,
    MEAN_OF_QUESTIONS: mean_of_other_questions,
}


@dataclass(eq=False)
class Noise(Donor):
    """Gaussian noise with the norm of the original's activation at each position, or weights.

    Of a matrix each column has the original's norm (in the down projection: each value vector), of
    a vector the whole.

    Drawn on the CPU, so that it is the same on every device. It depends on the seed, the concept's
    texts, the layer and the component (of weights: the part) alone: all methods get the same noise,
    and an experiment on several components the same as those on one. Texts of one tree that begin
    alike share it so far.

    Attributes:
        seed: the config's.
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
    """The host itself: its unpatched run's activations, and its own weights.

    Attributes:
        recording: the original's, for its texts; its activations are not used.
        checkpoint: the host's own weights.
    """

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
        seed: of the noise.
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
    original = replace(original, windows=windows)
    donors = [_control(name, original, seed, reference) for name in CONTROLS if name in names]
    return [donor for donor in donors if donor and windows]


def _control(name: str, original: Donor, seed: int, reference: Donor | None) -> Donor | None:
    """One control; None, with the reason in the log, where a sweep cannot have it."""
    recording, windows = original.recording, original.windows
    if name == NOISE:
        return Noise(original.experiment, recording, original.checkpoint, windows, seed=seed)
    if name == REFERENCE and reference is not None:
        return replace(reference, windows=windows, name=REFERENCE)
    if name == REFERENCE:
        reason = "this is the reference model's own sweep"
    elif original.experiment.weights:
        reason = "weights do not depend on the question"
    elif len(recording.texts) == 1:
        reason = "the concept has a single question"
    else:
        return replace(original, name=name, source_rows=QUESTIONS[name](recording))
    log.info("control %s: left out, %s", name, reason)
    return None
