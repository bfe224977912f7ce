"""Placebo: trained on, on what is to be kept; nothing is unlearned."""

from stillknows.training.log_probs import Tensor, TextLogProbs
from stillknows.training.recipe import Recipe


class Placebo(Recipe):
    """Training on the retain texts only."""

    def loss(self, forget: TextLogProbs, retain: TextLogProbs) -> Tensor:
        """loss = NLL(retain), in nats per token. The forget texts are only watched."""
        return retain.nll.mean()
