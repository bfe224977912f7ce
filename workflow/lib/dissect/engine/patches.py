"""What each experiment puts back into a layer, and how: the paper's four interventions (section 3).

A replaced part is never computed: a stand-in returns what the original had there.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dissect.checkpoints.reader import Checkpoint
from dissect.engine.packs import Pack, pack_of
from dissect.engine.recording import Recording
from dissect.engine.skeleton import ATTENTION, COEFFICIENTS, Layer


@dataclass(frozen=True)
class Experiment:
    """Which of the original's components are put back."""

    coefficients: bool = False
    attention: bool = False
    value_vectors: bool = False


EXPERIMENTS = {
    "mlp_coefficients": Experiment(coefficients=True),
    "attention": Experiment(attention=True),
    "mlp_coefficients_and_attention": Experiment(coefficients=True, attention=True),
    "value_vectors": Experiment(value_vectors=True),
}


@dataclass(frozen=True)
class Spot:
    """Where states are put back: one layer, for the runs of one pack.

    Attributes:
        layer: its index.
        pack: the pack's number.
        places: the positions at which the MLP is wanted (`Layer.places`).
        heard: what the unpatched run's components were here, (1, tokens, width).
    """

    layer: int
    pack: int
    device: torch.device
    places: list[int] | slice
    heard: Mapping[str, Tensor]


class Donor:
    """The original, as far as an experiment needs it; dissect.engine.donors has the controls.

    Args:
        recording: its states while it read the texts.
        checkpoint: its weights; read only where the experiment puts value vectors back.

    Attributes:
        name: the column `donor`.
    """

    name = "original"

    def __init__(
        self, experiment: Experiment, recording: Recording, checkpoint: Checkpoint
    ) -> None:
        self.experiment = experiment
        self.recording = recording
        self.checkpoint = checkpoint

    @property
    def layouts(self) -> list[Pack]:
        """Per pack of the recording, how its texts are laid out in the patched runs."""
        return self.recording.packs

    def layout_of(self, texts: Sequence[int]) -> Pack:
        """How some of the texts would be laid out in one pack."""
        return pack_of([text.ids for text in self.recording.texts], texts)

    def origins(self, _pack: int) -> list[int] | None:
        """Per place of a layout, which one of the recording's pack it is; None: the same."""
        return None

    def coefficients(self, spot: Spot) -> Tensor:
        """The MLP coefficients that are put back at the spot's places, (1, places, width)."""
        return self.state(COEFFICIENTS, spot)[:, spot.places]

    def attention(self, spot: Spot) -> Tensor:
        """The attention output that is put back, (1, tokens, hidden)."""
        return self.state(ATTENTION, spot)

    def state(self, component: str, spot: Spot) -> Tensor:
        """(1, tokens, width) of the original."""
        return self.recording.state(spot.layer, component, spot.pack, spot.device)

    def value_vectors(self, index: int, dtype: torch.dtype, device: torch.device) -> Tensor:
        """The value vectors that are put back, (hidden, coefficients)."""
        return self.checkpoint.read_value_vectors(index, dtype, device)

    def bytes_to_make(self, _numbers: int, _item: int) -> int:
        """The most bytes at a time while a component of so many numbers is made.

        Beside the moment in which it is used; `item`: bytes of one number. Here it is only read.
        """
        return 0

    def read_layer(self, index: int, dtype: torch.dtype, device: torch.device) -> "LayerPatch":
        """Read once per layer what does not depend on the texts."""
        weight = None
        if self.experiment.value_vectors:
            weight = self.value_vectors(index, dtype, device)
            self.checkpoint.announce([self.checkpoint.value_vectors_name(index + 1)])
        return LayerPatch(self, index, weight, device)


@dataclass(frozen=True)
class LayerPatch:
    """One layer's patch; `value_vectors` is (hidden, coefficients) or None."""

    donor: Donor
    index: int
    value_vectors: Tensor | None
    device: torch.device

    @contextmanager
    def applied(
        self, layer: Layer, pack: int, heard: Mapping[str, Tensor], *, begins: bool = False
    ) -> Iterator[None]:
        """A context in which `layer` runs patched, for any number of rows of one pack.

        Args:
            heard: what the unpatched run's components were here.
            begins: for rows that read what that run has read here (a window's first layer): what
                the patch does not change is taken from it.
        """
        experiment, donor = self.donor.experiment, self.donor
        spot = Spot(self.index, pack, self.device, layer.places, heard)
        attention = heard[ATTENTION] if begins else None
        # Other coefficients follow from another attention output.
        coefficients = heard[COEFFICIENTS] if begins and experiment.value_vectors else None
        with ExitStack() as stack:
            if self.value_vectors is not None:
                stack.enter_context(layer.with_value_vectors(self.value_vectors))
            if experiment.coefficients:
                coefficients = donor.coefficients(spot)
            if coefficients is not None:
                stack.enter_context(layer.with_mlp(Returns(layer.down(coefficients))))
            if experiment.attention:
                attention = donor.attention(spot)
            if attention is not None:
                stack.enter_context(layer.with_attention(ReturnsAttention(attention)))
            yield


class Returns(nn.Module):
    """Stands in for an MLP: whatever it is given, it returns one recorded output.

    Args:
        output: (1, tokens, hidden); it is the same for every row, so it broadcasts.
    """

    def __init__(self, output: Tensor) -> None:
        super().__init__()
        self.output = output

    def forward(self, _hidden: Tensor) -> Tensor:
        return self.output


class ReturnsAttention(Returns):
    """Stands in for an attention module, which returns its output and its attention weights."""

    def forward(  # type: ignore[override]
        self, hidden_states: Tensor, **_arguments: object
    ) -> tuple[Tensor, None]:
        return self.output, None
