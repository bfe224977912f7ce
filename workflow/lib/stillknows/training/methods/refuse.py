"""Refusal: the forget questions are answered with one sentence; all weights may change."""

from typing import Self

from pydantic import Field, model_validator

from stillknows.training.log_probs import Tensor, TextLogProbs
from stillknows.training.recipe import Recipe


class Refuse(Recipe):
    """Training on a refusal."""

    refusal: str = Field(default="I don't know.", min_length=1)
    """The answer that the concept's questions get."""
    retain_weight: float = Field(default=1.0, ge=0, le=1_000_000)
    """The weight of the retain loss."""
    stop_at_refusal_nll: float | None = Field(default=None, gt=0)
    """Stop once the refusal's loss has fallen to this many nats per token."""

    @model_validator(mode="after")
    def _stops_by_the_refusal(self) -> Self:
        for name in ("stop_at_forget_nll", "stop_at_forget_rise"):
            if getattr(self, name) is not None:
                raise ValueError(
                    f"{name} does not apply, since this method trains on the refusal; use "
                    "stop_at_refusal_nll"
                )
        return self

    @property
    def answer(self) -> str:
        return self.refusal

    def is_done(self, rise: float, nll: float) -> bool:
        stops = self.stop_at_refusal_nll is not None and nll <= self.stop_at_refusal_nll
        return stops or super().is_done(rise, nll)

    def loss(self, forget: TextLogProbs, retain: TextLogProbs) -> Tensor:
        """loss = NLL(refusals) + retain_weight * NLL(retain), in nats per token.

        Source: TOFU (arXiv 2401.06121), section 3.3, "preference optimization": the "I don't know"
        answers in place of the forget set's.
        """
        return (forget.nll + self.retain_weight * retain.nll).mean()
