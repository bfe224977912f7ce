"""Negative preference optimisation: the forget text is rejected, and no text is preferred to it."""

from pydantic import Field

from stillknows.training.log_probs import Tensor, TextLogProbs
from stillknows.training.recipe import Recipe


class NPO(Recipe):
    """Negative preference optimisation. The defaults below are those of NPO's paper (NPO+RT)."""

    beta: float = Field(default=0.1, gt=0, le=1_000_000)
    """A text counts as forgotten when its log-probability has fallen by about 1/beta nats."""
    length_normalised: bool = False
    """Mean instead of summed log-probabilities of a text; beta should then be larger."""
    retain_weight: float = Field(default=1.0, ge=0, le=1_000_000)
    """The weight of the retain loss. 0: plain NPO."""

    @property
    def reads_original(self) -> bool:
        return True

    def loss(self, forget: TextLogProbs, retain: TextLogProbs) -> Tensor:
        """loss = -2/beta * logsigmoid(-beta * gain) + retain_weight * NLL(retain).

        gain = lp(forget) - (the same under the frozen original), lp the text's summed
        log-probability in nats; NLL in nats per token. At gain 0 the gradient equals that of
        lp(forget); it fades as beta * gain falls below -1.

        Source: Zhang et al. 2024 (arXiv 2404.05868), the NPO loss, with the retain loss NPO+RT;
        their code, TOFU/dataloader.py, loss_type "npo_grad_diff".
        """
        from torch.nn.functional import logsigmoid

        gain = forget.gain(self.length_normalised)
        forgetting = -2.0 / self.beta * logsigmoid(-self.beta * gain)
        return (forgetting + self.retain_weight * retain.nll).mean()
