"""The unlearning methods, by name. A further method is one file here and one line below.

A method is a pure function: it takes the `TextLogProbs` of a batch of forget texts and of as many
retain texts, paired by position, and the recipe, and returns the scalar loss to be
minimised. The loss must be a mean over pairs, so that a step may be split into batches.
"""

from collections.abc import Callable

from torch import Tensor

from dissect.study.recipe import Recipe
from dissect.training.methods.dpo import dpo
from dissect.training.methods.grad_diff import grad_diff
from dissect.training.methods.log_probs import TextLogProbs

Method = Callable[[TextLogProbs, TextLogProbs, Recipe], Tensor]

METHODS: dict[str, Method] = {
    "grad_diff": grad_diff,
    "dpo": dpo,
}
