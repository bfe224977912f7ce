"""Other donors than the original's own states: the controls that a recovery is held against.

A score says that something came back, not that it had to be the original's states of this very
question. So the same windows are patched with states that know nothing of it: the original's on
another question of the concept, and noise of the same size. What they recover is the floor.
"""

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from dissect.checkpoints.reader import Checkpoint
from dissect.engine.packs import Pack, pack_of
from dissect.engine.patches import Donor, Experiment, Spot
from dissect.engine.recording import Recording
from dissect.errors import DissectError
from dissect.study.windows import Window

log = logging.getLogger("dissect")
VALUE_VECTORS = "value_vectors"
CPU = torch.device("cpu")
FLOAT32 = 4  # bytes


class OtherQuestion(Donor):
    """The original's states of the concept's next question, the last one's being the first.

    They are cut or repeated to the question's length. Where two questions begin alike but the next
    ones do not, what is put back differs; so these runs share a token only as far as both the
    questions and the next ones agree, and each question is patched as if it were alone. There is
    no other question for value vectors, which are weights.
    """

    name = "other_question"

    @cached_property
    def layouts(self) -> list[Pack]:
        return [self.layout_of(pack.members) for pack in self.recording.packs]

    def layout_of(self, texts: Sequence[int]) -> Pack:
        return pack_of([text.ids for text in self.recording.texts], texts, self._sources)

    @cached_property
    def _sources(self) -> list[list[int]]:
        """Per text and position, whose state is put back: its place among the recording's."""
        texts = self.recording.texts
        found = []
        for number, text in enumerate(texts):
            rows = self.recording.rows_of((number + 1) % len(texts))
            found.append([rows[position % len(rows)] for position in range(len(text.ids))])
        return found

    def origins(self, pack: int) -> list[int]:
        return self.layouts[pack].laid_out(self.recording.packs[pack].paths)

    def state(self, component: str, spot: Spot) -> Tensor:
        layout = self.layouts[spot.pack]
        sources = layout.laid_out([self._sources[member] for member in layout.members])
        states = self.recording.states(spot.layer, component)
        return states[None, sources].to(spot.device)

    def bytes_to_make(self, numbers: int, item: int) -> int:
        return 2 * numbers * item  # those of all packs, and those that are put back


class Noise(Donor):
    """Gaussian noise with the norm of the original's state at each position, or value vector.

    Drawn on the CPU, so that it is the same on every device. It depends on the seed, the concept's
    texts, the layer and the component alone: all methods get the same noise, and an experiment on
    both components the same as those on one. Texts that begin alike share it so far.

    Args:
        seed: the config's.
    """

    name = "noise"

    def __init__(
        self, experiment: Experiment, recording: Recording, checkpoint: Checkpoint, seed: int
    ) -> None:
        super().__init__(experiment, recording, checkpoint)
        self.seed = seed

    def state(self, component: str, spot: Spot) -> Tensor:
        recorded = self.recording.state(spot.layer, component, spot.pack, CPU)
        drawn = noise_like(recorded, -1, self._generator(component, spot.layer, spot.pack))
        return drawn.to(spot.device)

    def value_vectors(self, index: int, dtype: torch.dtype, device: torch.device) -> Tensor:
        original = self.checkpoint.read_value_vectors(index, dtype, CPU)
        return noise_like(original, 0, self._generator(VALUE_VECTORS, index)).to(device)

    def bytes_to_make(self, numbers: int, item: int) -> int:
        return numbers * (item + FLOAT32 + (item if item != FLOAT32 else 0))

    def _generator(self, *what: object) -> torch.Generator:
        texts = [text.ids for text in self.recording.texts]
        digest = hashlib.sha256(repr((self.seed, texts, *what)).encode()).digest()
        return torch.Generator().manual_seed(int.from_bytes(digest[:8]) >> 1)


class Itself(Donor):
    """The model that is patched: what its unpatched run has done, and its own value vectors.

    Args:
        recording: the original's, for its texts and logits; its states are not used.
        checkpoint: the patched model's own weights.
    """

    name = "self"

    def coefficients(self, spot: Spot) -> Tensor:
        return self.state("coefficients", spot)  # heard at the spot's places only

    def state(self, component: str, spot: Spot) -> Tensor:
        return spot.heard[component]


def noise_like(states: Tensor, dimension: int, generator: torch.Generator) -> Tensor:
    """Gaussian noise in the shape and dtype of `states`, with their norms along a dimension."""
    noise = torch.randn(states.shape, generator=generator)
    norms = torch.linalg.vector_norm(states, dim=dimension, keepdim=True, dtype=torch.float32)
    noise *= norms / torch.linalg.vector_norm(noise, dim=dimension, keepdim=True)
    return noise.to(states.dtype)


@dataclass(frozen=True)
class Patching:
    """What one donor gives, and the windows that it is given to."""

    donor: Donor
    windows: Sequence[Window]


def controls_of(
    original: Donor,
    names: Sequence[str],
    layers: Sequence[int],
    windows: Sequence[Window],
    seed: int,
) -> list[Patching]:
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
            f"config: controls.layers: {unknown[0]} is no layer of this model; legal: 0 to {top}"
        )
    chosen = [window for window in windows if window.layer in layers]
    parts = (original.experiment, original.recording, original.checkpoint)
    donors: list[Donor] = []
    if OtherQuestion.name in names:
        if original.experiment.value_vectors:
            log.info("control other_question: left out, value vectors belong to no question")
        elif len(original.recording.texts) == 1:
            log.info("control other_question: left out, the concept has a single question")
        else:
            donors.append(OtherQuestion(*parts))
    if Noise.name in names:
        donors.append(Noise(*parts, seed=seed))
    return [Patching(donor, chosen) for donor in donors if chosen]
