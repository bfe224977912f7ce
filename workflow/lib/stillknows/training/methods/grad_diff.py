"""Gradient difference: climb on the forget texts, descend on the retain texts."""

from pydantic import Field

from stillknows.training.log_probs import Tensor, TextLogProbs
from stillknows.training.recipe import Recipe


class GradDiff(Recipe):
    """Gradient difference, by the paper's recipe."""

    retain_weight: float = Field(default=1.5, ge=0, le=1_000_000)
    """The weight of the retain loss."""

    def loss(self, forget: TextLogProbs, retain: TextLogProbs) -> Tensor:
        """loss = -NLL(forget) + retain_weight * NLL(retain), NLL in nats per token.

        The loss has no lower bound: it is the number of steps that ends the forgetting.

        Source: ConceptVectors, dataloader.py, loss_type "grad_diff" (forget.py trains with it).
        """
        return (-forget.nll + self.retain_weight * retain.nll).mean()
