"""Placebo: trained on, on what is to be kept; nothing is unlearned."""

from typing import TYPE_CHECKING

from stillknows.training.recipe import Recipe

if TYPE_CHECKING:
    from torch import Tensor

    from stillknows.training.methods.log_probs import TextLogProbs


class Placebo(Recipe):
    """Training on the retain texts only."""

    def loss(self, forget: "TextLogProbs", retain: "TextLogProbs") -> "Tensor":
        """loss = NLL(retain), in nats per token. The forget texts are only watched."""
        return retain.nll.mean()
