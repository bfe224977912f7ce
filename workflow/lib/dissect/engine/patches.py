"""What each experiment puts back into a layer, and how: the paper's four interventions (section 3).

A replaced part is never computed: a stand-in returns what the original had there.
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dissect.checkpoints.reader import Checkpoint
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


class Donor:
    """The original, as far as an experiment needs it.

    Args:
        recording: its states while it read the texts.
        checkpoint: its weights; read only where the experiment puts value vectors back.
    """

    def __init__(
        self, experiment: Experiment, recording: Recording, checkpoint: Checkpoint
    ) -> None:
        self.experiment = experiment
        self.recording = recording
        self.checkpoint = checkpoint

    def read_layer(self, index: int, dtype: torch.dtype, device: torch.device) -> "LayerPatch":
        """Read once per layer what does not depend on the texts."""
        weight = None
        if self.experiment.value_vectors:
            weight = self.checkpoint.read_value_vectors(index, dtype, device)
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
        self, layer: Layer, pack: int, heard: Mapping[str, Tensor] | None = None
    ) -> Iterator[None]:
        """A context in which `layer` runs patched, for any number of rows of one pack.

        Args:
            heard: for rows that read what another run has just read here (a window's first layer):
                that run's components. What the patch does not change is taken from them.
        """
        experiment = self.donor.experiment
        attention = heard[ATTENTION] if heard else None
        # Other coefficients follow from another attention output.
        coefficients = heard[COEFFICIENTS] if heard and experiment.value_vectors else None
        with ExitStack() as stack:
            if self.value_vectors is not None:
                stack.enter_context(layer.with_value_vectors(self.value_vectors))
            if experiment.coefficients:
                coefficients = self._recorded(COEFFICIENTS, pack)[:, layer.places]
            if coefficients is not None:
                stack.enter_context(layer.with_mlp(Returns(layer.down(coefficients))))
            if experiment.attention:
                attention = self._recorded(ATTENTION, pack)
            if attention is not None:
                stack.enter_context(layer.with_attention(ReturnsAttention(attention)))
            yield

    def _recorded(self, component: str, pack: int) -> Tensor:
        """(1, tokens, width) of the original."""
        return self.donor.recording.state(self.index, component, pack, self.device)


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
