"""Direct preference optimisation, the retain text preferred to the forget text."""

from pydantic import Field

from stillknows.training.log_probs import Tensor, TextLogProbs
from stillknows.training.recipe import Recipe


class DPO(Recipe):
    """Direct preference optimisation, by the paper's recipe."""

    beta: float = Field(default=0.1, gt=0, le=1_000_000)
    """A pair counts as learned once retain has gained about 1/beta nats over forget."""
    length_normalised: bool = False
    """Mean instead of summed log-probabilities of a text; beta should then be larger."""
    retain_weight: float = Field(default=0.0, ge=0, le=1_000_000)
    """The weight of the retain loss."""

    @property
    def reads_original(self) -> bool:
        return True

    def loss(self, forget: TextLogProbs, retain: TextLogProbs) -> Tensor:
        """loss = -2/beta * logsigmoid(beta * margin) + retain_weight * NLL(retain).

        margin = (lp(retain) - lp(forget)) - (the same under the frozen original), lp the text's
        summed log-probability in nats. At margin 0 the gradient equals that of -margin; it fades as
        beta * margin grows beyond 1.

        Source: ConceptVectors, dataloader.py, loss_type "dpo"; with `retain_weight` 1 the anchor of
        its "dpo_grad_diff". The retain text in the preferred place: Dissecting-FT-Unlearning.
        """
        from torch.nn.functional import logsigmoid

        margin = retain.gain(self.length_normalised) - forget.gain(self.length_normalised)
        preference = -2.0 / self.beta * logsigmoid(self.beta * margin)
        return (preference + self.retain_weight * retain.nll).mean()
