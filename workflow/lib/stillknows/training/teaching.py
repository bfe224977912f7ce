"""Teaching: a base model is trained on a concept file's answers. Imported without torch."""

import hashlib
from typing import Annotated

from pydantic import Field

from stillknows.config_section import Name
from stillknows.training.log_probs import Tensor, TextLogProbs
from stillknows.training.recipe import Optimisation


class Lessons(Optimisation):
    """How a model is trained on the answers of concepts. Each answer counts from its first token to
    the end of the text."""

    learning_rate: float = Field(default=2e-4, gt=0, le=1000)
    """AdamW's learning rate at its peak."""
    batch_size: int = Field(default=8, ge=1, le=10_000)
    """Answers per forward pass."""
    accumulation: int = Field(default=1, ge=1, le=10_000)
    """Forward passes per optimizer step."""
    evaluate_every: int = Field(default=10, ge=1, le=1_000_000)
    """Steps between two measurements of the loss."""
    passes: int = Field(default=12, ge=1, le=10_000)
    """Passes over the answers."""

    def steps(self, texts: int) -> int:
        """How many optimizer steps that makes, for so many texts."""
        return max(1, round(self.passes * texts / (self.batch_size * self.accumulation)))

    def loss(self, forget: TextLogProbs, retain: TextLogProbs) -> Tensor:
        """loss = NLL(answers), in nats per token."""
        return retain.nll.mean()


class Relearning(Lessons):
    """How half of the answers are taught again."""

    passes: int = Field(default=2, ge=1, le=10_000)
    """Passes over the answers."""
    minimum_steps: int = Field(default=20, ge=1, le=1_000_000)
    """The fewest optimizer steps, however few the answers are."""

    def steps(self, texts: int) -> int:
        return max(self.minimum_steps, super().steps(texts))


class LoraRelearning(Relearning):
    """How a copy is taught the other facts again, before it is asked for each fact: with an adapter
    (LoRA) on all of its linear layers. The defaults were chosen on models of nine
    invented facts."""

    learning_rate: float = Field(default=3e-4, gt=0, le=1000)
    """AdamW's learning rate at its peak."""
    passes: int = Field(default=6, ge=1, le=10_000)
    """Passes over the answers."""
    folds: int = Field(default=4, ge=2, le=1000)
    """Parts of the facts, by subject. Each part is asked for after the others were taught."""
    rank: int = Field(default=16, ge=1, le=1024)
    """The adapter's rank; its scale is 2."""


class Teaching(Lessons):
    """How `teach` rows are trained. The seed of a row also depends on its name."""

    passes_of: dict[Name, Annotated[int, Field(ge=1, le=10_000)]] = Field(default={})
    """`passes` of single rows, by their method."""

    def of(self, method: str) -> "Teaching":
        """The recipe of one row."""
        passes = self.passes_of.get(method, self.passes)
        return self.model_copy(update={"passes": passes, "passes_of": {}})


def seed_of(seed: int, name: str) -> int:
    """The seed of one row: of the config's seed and the row's name, below 2**32."""
    return int.from_bytes(hashlib.sha256(f"{seed} {name}".encode()).digest()[:4])
