"""What a method is given of a batch of texts: log-probabilities and states, not the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor
else:
    Tensor = Any  # the config, with the methods in it, is read without torch

__all__ = ["Tensor", "TextLogProbs"]


@dataclass(frozen=True)
class TextLogProbs:
    """Log-probabilities of a batch of texts, in nats, over the tokens that the loss counts.

    Tensors have the shape (texts,). Hidden states are there for a recipe with a `states_layer`: one
    tensor (positions, hidden) per text, of the positions from which the counted tokens are
    predicted, and the last token's.
    """

    logprob: Tensor  # summed over the text's tokens, under the model in training; has a gradient
    original: Tensor  # the same under the frozen original; NaN unless the recipe reads_original
    tokens: Tensor  # how many tokens were summed
    tokens_per_text: float  # mean of `tokens` over the whole step, however many batches it has
    states: Sequence[Tensor] = ()  # the layer's output in the training; has a gradient
    original_states: Sequence[Tensor] = ()  # the same under the frozen original
    seed: int = 0  # the training's, for what a method draws at random

    @property
    def nll(self) -> Tensor:
        """Each text's part (texts,) of the step's mean NLL per token, in nats.

        Its mean over the step's texts is the NLL that transformers computes of them as one batch:
        long texts weigh more, and splitting the step into batches changes nothing.
        """
        return -self.logprob / self.tokens_per_text

    def gain(self, length_normalised: bool) -> Tensor:
        """By how many nats (per token) texts are likelier than under the original: (texts,)."""
        gain = self.logprob - self.original
        return gain / self.tokens if length_normalised else gain
