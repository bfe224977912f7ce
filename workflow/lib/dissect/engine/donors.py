"""Other donors than the original on the same question: the controls of a recovery.

A score shows recovery, not that the original's activations on this very question were needed. So
the same windows are patched with activations that hold nothing of it: the original's on another
question of the concept, and noise of the same norm.
"""

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from dissect.engine.patches import Donor, DonorWindows, PatchSite
from dissect.engine.streamed_model import COEFFICIENTS
from dissect.errors import DissectError
from dissect.inputs.windows import Window
from dissect.terms import COPY, NOISE, OTHER_QUESTION, SELF

log = logging.getLogger("dissect")
CPU = torch.device("cpu")


class Copy(Donor):
    """The unlearned model, patched into the original."""

    name = COPY


class OtherQuestion(Donor):
    """The original's activations on the concept's next question (for the last, the first).

    They are cut or repeated to the question's length. Where two questions begin alike but the next
    ones do not, what is patched in differs; so these runs share a token only as far as both the
    questions and the next ones agree, and each question is patched as if it were alone. There is
    no other question for weights.
    """

    name = OTHER_QUESTION

    @cached_property
    def sources(self) -> list[list[int]]:
        """Per text and token, the row of the recording that is patched in."""
        texts = self.recording.texts
        sources = []
        for number, text in enumerate(texts):
            rows = self.recording.rows_of((number + 1) % len(texts))
            sources.append([rows[position % len(rows)] for position in range(len(text.ids))])
        return sources

    def activations(self, component: str, site: PatchSite) -> Tensor:
        tree = self.trees[site.tree]
        sources = tree.flatten([self.sources[text] for text in tree.texts])
        rows = self.recording.activations(site.layer, component)
        return rows[:, sources].to(site.device)


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


def controls_of(
    original: Donor,
    names: Sequence[str],
    layers: Sequence[int],
    windows: Sequence[Window],
    seed: int,
) -> list[DonorWindows]:
    """The controls of a sweep: donors `names` in the windows whose `layer` is in `layers`.

    Args:
        original: the donor of the sweep itself.
        windows: all windows of the sweep.
        seed: of the noise.

    Raises:
        DissectError: for a layer that the model does not have.
    """
    top = max((window.layer for window in windows), default=0)
    unknown = [layer for layer in layers if layer > top]
    if names and unknown:
        raise DissectError(
            f"config: controls.layers: {unknown[0]} is no layer of this model; allowed: 0 to {top}"
        )
    chosen = [window for window in windows if window.layer in layers]
    parts = (original.experiment, original.recording, original.checkpoint)
    donors: list[Donor] = []
    if OtherQuestion.name in names:
        if original.experiment.weights:
            log.info("control other_question: left out, weights belong to no question")
        elif len(original.recording.texts) == 1:
            log.info("control other_question: left out, the concept has a single question")
        else:
            donors.append(OtherQuestion(*parts))
    if Noise.name in names:
        donors.append(Noise(*parts, seed=seed))
    return [DonorWindows(donor, chosen) for donor in donors if chosen]
