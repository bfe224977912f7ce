"""Other donors than the original on the same question: the controls of a recovery.

A score shows recovery, not that the original's activations on this very question were needed. So
the same windows are patched with other activations: the original's on other questions of the
concept, those of a model that never learned the concept, and noise of the same norm.
"""

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import cycle, islice

import torch
from torch import Tensor

from stillknows.engine.patches import Donor, SourceRows
from stillknows.engine.recording import Recording
from stillknows.errors import StudyError
from stillknows.terms import CONTROLS, MEAN_OF_QUESTIONS, NOISE, OTHER_QUESTION, REFERENCE, SELF

log = logging.getLogger("stillknows")
CPU = torch.device("cpu")


def question_rows(control: str, recording: Recording) -> SourceRows:
    """The rows of other questions of the concept that a control patches into each question.

    other_question: the next question (for the last, the first), cut or repeated to the same length.
    aligned_question: the next question, aligned where the answer begins. mean_of_questions: all
    other questions that have a token there, aligned likewise. Where no other question has such a
    token, the question's own.
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
