"""Direct preference optimisation, the retain text preferred to the forget text."""

from torch import Tensor
from torch.nn.functional import logsigmoid

from dissect.study.recipe import Recipe
from dissect.training.methods.log_probs import TextLogProbs

RETAIN_WEIGHT = 0.0  # as published: nothing beside the preference


def dpo(forget: TextLogProbs, retain: TextLogProbs, recipe: Recipe) -> Tensor:
    """loss = -2/beta * logsigmoid(beta * margin) + retain_weight * NLL(retain).

    margin = (lp(retain) - lp(forget)) - (the same under the frozen original), lp the text's summed
    log-probability in nats. At margin 0 the gradient equals that of -margin; it fades as beta *
    margin grows beyond 1, so beta says after how many nats a pair counts as learnt.

    Args:
        forget, retain: scores of equally many texts, paired by position, tensors of shape (texts,).
        recipe: `beta` (published: 0.1); `length_normalised` (published: false) takes lp per token
            of the text, so the margin is in nats per token and beta wants to be larger;
            `retain_weight` (published: 0) adds an anchor on the retain text itself.

    Returns:
        The mean over pairs, shape ().

    Source: ConceptVectors, dataloader.py, loss_type "dpo"; with `retain_weight` 1 the anchor of
    its "dpo_grad_diff". The retain text in the preferred place: Dissecting-FT-Unlearning.
    """
    margin = _gain(retain, recipe) - _gain(forget, recipe)
    preference = -2.0 / recipe.beta * logsigmoid(recipe.beta * margin)
    weight = RETAIN_WEIGHT if recipe.retain_weight is None else recipe.retain_weight
    return (preference + weight * retain.nll).mean()


def _gain(scores: TextLogProbs, recipe: Recipe) -> Tensor:
    gain = scores.logprob - scores.original
    return gain / scores.tokens if recipe.length_normalised else gain
