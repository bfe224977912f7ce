"""Representation misdirection: the hidden states of forget texts are moved to a random vector."""

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from stillknows.training.log_probs import Tensor, TextLogProbs
from stillknows.training.recipe import DOWN_PROJECTION, Recipe


class RMU(Recipe):
    """Only the MLP down projections of `layer` and of the two layers below it change. The defaults
    below are those of RMU's code for Zephyr-7B."""

    learning_rate: float = Field(default=5e-5, gt=0, le=1000)
    """AdamW's learning rate at its peak."""
    accumulation: int = Field(default=1, ge=1, le=10_000)
    """Forward passes per optimizer step."""
    warmup_steps: int = Field(default=0, ge=0, le=1_000_000)
    """Steps in which the learning rate rises from 0."""
    schedule: Literal["constant", "linear"] = "constant"
    """The learning rate after the warm-up."""
    steps: int = Field(default=150, ge=1, le=1_000_000)
    """Optimizer steps."""
    layer: int = Field(default=7, ge=0, le=9999)
    """The layer, from 0, whose output is moved (of Zephyr's 32)."""
    steering: float = Field(default=6.5, gt=0, le=1_000_000)
    """The norm of the vector to which the hidden states of forget texts are moved; it should be at
    least about the norm of these states."""
    retain_weight: float = Field(default=1200.0, ge=0, le=1_000_000)
    """The weight of the change in the hidden states of retain texts."""

    @property
    def modules(self) -> Sequence[str]:
        layers = range(max(0, self.layer - 2), self.layer + 1)
        return [f"layers.{layer}.mlp.{DOWN_PROJECTION}" for layer in layers]

    @property
    def states_layer(self) -> int:
        return self.layer

    def loss(self, forget: TextLogProbs, retain: TextLogProbs) -> Tensor:
        """loss = |h(forget) - steering * u|^2 + retain_weight * |h(retain) - h_original(retain)|^2.

        h is the output of the layer, h_original the same under the frozen original, |.|^2 the mean
        of squares over a text's positions and over the hidden size. u is a unit vector, the same in
        the whole training: uniform random numbers from 0 to 1, by the training's seed, normalised.

        Source: Li et al. 2024 (arXiv 2403.03218), section 4; their code, rmu/unlearn.py, which
        takes means over the hidden size where the paper writes sums. Here a text counts from the
        position that predicts its first counted token: a plain text as a whole, as in the paper.
        """
        import torch

        u = _unit_vector(forget.states[0].shape[-1], forget.seed).to(forget.states[0].device)
        moved = [_distance(states, self.steering * u) for states in forget.states]
        pairs = zip(retain.states, retain.original_states, strict=True)
        kept = [_distance(states, original) for states, original in pairs]
        return (torch.stack(moved) + self.retain_weight * torch.stack(kept)).mean()


def _unit_vector(size: int, seed: int) -> Tensor:
    """A random vector (size,) of norm 1, float32, on the CPU: the same one on every device."""
    import torch

    vector: Tensor = torch.rand(size, generator=torch.Generator().manual_seed(seed))
    vector /= vector.norm()
    return vector


def _distance(states: Tensor, target: Tensor) -> Tensor:
    """The mean squared difference, shape (), in float32.

    Args:
        states: (positions, hidden).
        target: (positions, hidden) or (hidden,).
    """
    return (states.float() - target.float()).square().mean()
