"""Other donors than the original on the same question: the controls of a recovery.

A score shows recovery, not that the original's activations on this very question were needed. So
the same windows are patched with other activations: the original's on other questions of the
concept, those of a model that never learned the concept, and noise of the same norm.
"""

import hashlib
import logging
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, chain

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

from dissect.engine.patches import Donor, DonorWindows, PatchSite
from dissect.engine.streamed_model import COEFFICIENTS
from dissect.errors import DissectError
from dissect.inputs.windows import Window
from dissect.terms import (
    ALIGNED_QUESTION,
    CONTROLS,
    COPY,
    MEAN_OF_QUESTIONS,
    NOISE,
    OTHER_QUESTION,
    REFERENCE,
    SELF,
)

log = logging.getLogger("dissect")
CPU = torch.device("cpu")


class Copy(Donor):
    """The unlearned model, patched into the original."""

    name = COPY


class Reference(Donor):
    """A model that never learned the concept, patched into the copy on the same text."""

    name = REFERENCE


class OtherQuestions(Donor):
    """The original's activations on other questions: at each token, the mean of recorded ones.

    Where two questions begin alike, what is patched into them can differ. So these runs share a
    token only as far as both agree, and each question is patched as if it were alone. There are no
    other questions for weights.
    """

    @abstractmethod
    def rows_for(self, text: int) -> list[tuple[int, ...]]:
        """Per token of a text, the rows of the recording whose mean is patched in."""

    @cached_property
    def row_sets(self) -> list[tuple[int, ...]]:
        """All that `rows_for` returns, each once."""
        texts = range(len(self.recording.texts))
        return list(dict.fromkeys(chain.from_iterable(map(self.rows_for, texts))))

    @cached_property
    def sources(self) -> list[list[int]]:
        """Per text and token, the index of its rows in `row_sets`."""
        index_of = {rows: index for index, rows in enumerate(self.row_sets)}
        texts = range(len(self.recording.texts))
        return [[index_of[rows] for rows in self.rows_for(text)] for text in texts]

    def activations(self, component: str, site: PatchSite) -> Tensor:
        tree = self.trees[site.tree]
        sources = tree.flatten([self.sources[text] for text in tree.texts])
        of_tokens = [self.row_sets[source] for source in sources]
        starts = [0, *accumulate(map(len, of_tokens))][:-1]
        recorded = self.recording.activations(site.layer, component)[0]
        rows = torch.tensor([*chain.from_iterable(of_tokens)])
        means = embedding_bag(rows, recorded.float(), torch.tensor(starts), mode="mean")
        return means.to(recorded.dtype)[None].to(site.device)


class OtherQuestion(OtherQuestions):
    """The concept's next question (for the last, the first), cut or repeated to the same length."""

    name = OTHER_QUESTION

    def rows_for(self, text: int) -> list[tuple[int, ...]]:
        texts = self.recording.texts
        rows = self.recording.rows_of((text + 1) % len(texts))
        return [(rows[position % len(rows)],) for position in range(len(texts[text].ids))]


class AlignedQuestion(OtherQuestions):
    """The next question, aligned where the answer begins.

    Where the other question has no token, the question's own activation is kept.
    """

    name = ALIGNED_QUESTION

    def others(self, text: int) -> list[int]:
        """The questions that are patched into a text."""
        return [(text + 1) % len(self.recording.texts)]

    def rows_for(self, text: int) -> list[tuple[int, ...]]:
        own = self.recording.rows_of(text)
        aligned = [self._aligned(text, other) for other in self.others(text)]
        return [
            tuple(rows[position] for rows in aligned if position in rows) or (row,)
            for position, row in enumerate(own)
        ]

    def _aligned(self, text: int, other: int) -> dict[int, int]:
        """By position in a text, the row of another one as far from the beginning of its answer."""
        texts = self.recording.texts
        shift = texts[text].answer.start - texts[other].answer.start
        rows = self.recording.rows_of(other)
        return {position + shift: row for position, row in enumerate(rows)}


class MeanOfQuestions(AlignedQuestion):
    """The mean over all other questions of the concept, aligned where the answer begins.

    At each position, over those that have it.
    """

    name = MEAN_OF_QUESTIONS

    def others(self, text: int) -> list[int]:
        return [other for other in range(len(self.recording.texts)) if other != text]


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

    seed: int
    name = NOISE

    def activations(self, component: str, site: PatchSite) -> Tensor:
        recorded = self.recording.activations(site.layer, component, site.tree)
        drawn = noise_like(recorded, -1, self._generator(component, site.layer, site.tree))
        return drawn.to(site.device)

    def weights(self, index: int, dtype: torch.dtype, device: torch.device) -> dict[str, Tensor]:
        noise = {}
        for part in self.experiment.weights:
            generator = self._generator(part, index)
            originals = self.checkpoint.read_parts(index, [part], dtype, CPU)
            for name, original in sorted(originals.items()):
                noise[name] = noise_like(original, 0, generator).to(device)
        return noise

    def _generator(self, *what: object) -> torch.Generator:
        texts = [text.ids for text in self.recording.texts]
        digest = hashlib.sha256(repr((self.seed, texts, *what)).encode()).digest()
        return torch.Generator().manual_seed(int.from_bytes(digest[:8]) >> 1)


class SelfPatch(Donor):
    """The host itself: its unpatched run's activations, and its own weights.

    Args:
        recording: the original's, for its texts; its activations are not used.
        checkpoint: the host's own weights.
    """

    name = SELF

    def coefficients(self, site: PatchSite) -> Tensor:
        return site.captured[COEFFICIENTS]  # of the tokens at which the MLP runs

    def activations(self, component: str, site: PatchSite) -> Tensor:
        return site.captured[component]


def noise_like(values: Tensor, dimension: int, generator: torch.Generator) -> Tensor:
    """Gaussian noise in the shape and dtype of `values`, with their norms along a dimension."""
    noise = torch.randn(values.shape, generator=generator)
    norms = torch.linalg.vector_norm(values, dim=dimension, keepdim=True, dtype=torch.float32)
    noise *= norms / torch.linalg.vector_norm(noise, dim=dimension, keepdim=True)
    return noise.to(values.dtype)


_OF_QUESTIONS = {one.name: one for one in (OtherQuestion, AlignedQuestion, MeanOfQuestions)}


def controls_of(
    original: Donor,
    names: Sequence[str],
    layers: Sequence[int],
    windows: Sequence[Window],
    seed: int = 0,
    reference: Donor | None = None,
) -> list[DonorWindows]:
    """The controls of a sweep: donors `names` in the windows whose `layer` is in `layers`.

    Args:
        original: the donor of the sweep itself.
        windows: all windows of the sweep.
        seed: of the noise.
        reference: the reference model as donor; None in a reference model's own sweep.

    Raises:
        DissectError: for a layer that the model does not have.
    """
    top = max((window.layer for window in windows), default=0)
    unknown = [layer for layer in layers if layer > top]
    if names and unknown:
        raise DissectError(
            f"config: controls.layers: {unknown[0]} is not a layer of this model; "
            f"allowed: 0 to {top}"
        )
    chosen = [window for window in windows if window.layer in layers]
    donors = [_control(name, original, seed, reference) for name in CONTROLS if name in names]
    return [DonorWindows(donor, chosen) for donor in donors if donor and chosen]


def _control(name: str, original: Donor, seed: int, reference: Donor | None) -> Donor | None:
    """One control; None, with the reason in the log, where a sweep cannot have it."""
    parts = (original.experiment, original.recording, original.checkpoint)
    if name == NOISE:
        return Noise(*parts, seed=seed)
    if name == REFERENCE and reference is not None:
        return reference
    if name == REFERENCE:
        reason = "this is the reference model's own sweep"
    elif original.experiment.weights:
        reason = "weights do not depend on the question"
    elif len(original.recording.texts) == 1:
        reason = "the concept has a single question"
    else:
        return _OF_QUESTIONS[name](*parts)
    log.info("control %s: left out, %s", name, reason)
    return None
