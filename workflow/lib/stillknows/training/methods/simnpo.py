"""Simple negative preference optimisation: NPO without the original, per token of a text."""

from pydantic import Field

from stillknows.training.log_probs import Tensor, TextLogProbs
from stillknows.training.recipe import Recipe


class SimNPO(Recipe):
    """Simple NPO. The defaults below are those of SimNPO's code for TOFU's forget10."""

    beta: float = Field(default=4.5, gt=0, le=1_000_000)
    """A text counts as forgotten at an NLL of about (margin + 1) / beta nats per token."""
    margin: float = Field(default=0.0, ge=0, le=1_000_000)
    """The value of beta * NLL(forget) at which the gradient has fallen to half."""
    retain_weight: float = Field(default=8.0, ge=0, le=1_000_000)
    """The weight of the retain loss (SimNPO's code weights the forget loss by 0.125 instead)."""

    def loss(self, forget: TextLogProbs, retain: TextLogProbs) -> Tensor:
        """loss = -2/beta * logsigmoid(-beta * mean_lp - margin) + retain_weight * NLL(retain).

        mean_lp is the forget text's log-probability per token, NLL also in nats per token. Where
        beta * mean_lp = -margin, the gradient equals that of mean_lp; it fades as the text becomes
        less likely. The frozen original takes no part.

        Source: Fan et al. 2024 (arXiv 2410.07163), the SimNPO loss; their code, TOFU/dataloader.py,
        loss_type "simnpo_grad_diff". The code multiplies the margin by beta; here, as in the paper,
        it does not.
        """
        from torch.nn.functional import logsigmoid

        mean_lp = forget.logprob / forget.tokens
        forgetting = -2.0 / self.beta * logsigmoid(-self.beta * mean_lp - self.margin)
        return (forgetting + self.retain_weight * retain.nll).mean()
