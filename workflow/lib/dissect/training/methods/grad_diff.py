"""Gradient difference: climb on the forget texts, descend on the retain texts."""

from torch import Tensor

from dissect.study.recipe import Recipe
from dissect.training.methods.log_probs import TextLogProbs

RETAIN_WEIGHT = 1.5  # as published


def grad_diff(forget: TextLogProbs, retain: TextLogProbs, recipe: Recipe) -> Tensor:
    """loss = -NLL(forget) + retain_weight * NLL(retain), NLL in nats per token.

    The loss has no lower bound: it is the number of steps that ends the forgetting.

    Args:
        forget, retain: scores of equally many texts, tensors of shape (texts,).
        recipe: `retain_weight` (published: 1.5).

    Returns:
        The mean over texts, shape ().

    Source: ConceptVectors, dataloader.py, loss_type "grad_diff" (forget.py trains with it).
    """
    weight = RETAIN_WEIGHT if recipe.retain_weight is None else recipe.retain_weight
    return (-forget.nll + weight * retain.nll).mean()
