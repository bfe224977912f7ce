"""The recipe of a training: what all methods have in common. Imported without torch."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from stillknows.config_section import Names, Section
from stillknows.training.log_probs import Tensor, TextLogProbs

# What a training holds, in multiples of its weights: weights, gradients, AdamW's two moments.
TRAINING_FACTOR = 4
# Stands in a module's name for what the model's family calls the down projection of an MLP.
DOWN_PROJECTION = "{down}"


def _as_precision(value: Any) -> Any:
    # YAML 1.1 reads a bare `no` as false.
    return "no" if value is False else value


class Optimisation(Section):
    """How weights are trained: what unlearning and teaching have in common."""

    learning_rate: float = Field(default=2e-5, gt=0, le=1000)
    """AdamW's learning rate at its peak."""
    batch_size: int = Field(default=4, ge=1, le=10_000)
    """Texts of each kind (forget, retain) per forward pass."""
    accumulation: int = Field(default=8, ge=1, le=10_000)
    """Forward passes per optimizer step."""
    max_length: int = Field(default=500, ge=8, le=1_000_000)
    """Tokens after which a text is cut."""
    weight_decay: float = Field(default=0.01, ge=0, le=1000)
    """AdamW's weight decay."""
    warmup_steps: int = Field(default=3, ge=0, le=1_000_000)
    """Steps in which the learning rate rises from 0."""
    schedule: Literal["constant", "linear"] = "linear"
    """The learning rate after the warm-up: constant, or linear down to 0."""
    precision: Annotated[
        Literal["no", "bf16", "fp16", "bf16_mixed"], BeforeValidator(_as_precision)
    ] = "bf16"
    """bf16: the weights themselves are bfloat16, also as saved. fp16, bf16_mixed: mixed, with
    float32 weights. no: plain float32."""
    evaluate_every: int = Field(default=1, ge=1, le=1_000_000)
    """Steps between two measurements of the losses."""

    @property
    def modules(self) -> Sequence[str]:
        """The only modules whose weights may change, by their names; empty: all."""
        return ()

    @property
    def reads_original(self) -> bool:
        """Whether TextLogProbs.original is computed: a forward pass of every text."""
        return False

    @property
    def states_layer(self) -> int | None:
        """The layer, from 0, whose output the loss is given (TextLogProbs.states); None: none."""
        return None

    def is_done(self, rise: float, nll: float) -> bool:
        """Whether the step was the last, before all are done.

        Args:
            rise: of the step's forget texts' NLL above the start model's, nats per token; NaN
                where reads_original is false.
            nll: the step's forget texts' NLL, nats per token.
        """
        return False

    @abstractmethod
    def loss(self, forget: TextLogProbs, retain: TextLogProbs) -> Tensor:
        """The loss to be minimised, shape (); a mean over pairs, so that a step may be split.

        Args:
            forget, retain: scores of equally many texts, paired by position, tensors of shape
                (texts,). Teaching has no forget texts.
        """


class Recipe(Optimisation):
    """How an `unlearn` row of the table is trained. The paper's, by default."""

    texts: Literal["paragraphs", "answers"] = "paragraphs"
    """What is trained on: the paragraphs of wikipedia_content, or the answers in
    QA_with_answers."""
    steps: int = Field(default=15, ge=1, le=1_000_000)
    """Optimizer steps; three are about one epoch of a concept's text."""
    retain: Names = Field(default=[])
    """Ids of the concepts whose texts are retained; the unlearned concept is left out. Empty: the
    next concept in the checkpoints table. Name them, or training may be repeated when rows are
    added."""
    held_out: Names = Field(default=[])
    """As `retain`, but their loss is only measured. Empty: the next one that is not retained."""
    stop_at_forget_rise: float | None = Field(default=None, gt=0)
    """Stop once the forget text's loss has risen by this many nats per token."""

    stop_at_forget_nll: float | None = Field(default=None, gt=0)
    """Stop once the forget text's loss reaches this many nats per token."""

    @property
    def answer(self) -> str | None:
        """What each forget question is answered with in the training; None: the forget texts."""
        return None

    @property
    def reads_original(self) -> bool:
        return self.stop_at_forget_rise is not None

    def is_done(self, rise: float, nll: float) -> bool:
        ends = ((rise, self.stop_at_forget_rise), (nll, self.stop_at_forget_nll))
        return any(end is not None and value >= end for value, end in ends)
