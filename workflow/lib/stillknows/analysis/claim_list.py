"""The claims of the paper, and how each is decided.

Y. Hong et al., Dissecting Fine-Tuning Unlearning in Large Language Models, EMNLP 2024. The full
text was unavailable: the claims and their thresholds are this project's reading of the abstract and
of a summary of section 3, written when results of config/pretrained.yaml were known. Where the
paper says "much", a number has to be chosen. Four thresholds serve all claims, on the scale of KRS
from 0 (the unlearned model's logits) to 1 (the original's):

    0.1  about nothing: within a tenth of the way
    0.5  much: half of the way
    0.7  very much: half way between much and what the paper reports for both components together
    0.9  what the paper reports for both components together
"""

from dataclasses import dataclass
from typing import Literal

from stillknows.analysis.curve_statistics import (
    Where,
    every_window,
    in_thirds,
    topmost,
    with_last_layer,
    without_last_layer,
)
from stillknows.terms import ATTENTION, BOTH, MLP_COEFFICIENTS, VALUE_VECTORS

NOTHING, MUCH, VERY_MUCH, NEARLY_ALL = 0.1, 0.5, 0.7, 0.9

Bound = Literal["at least", "above", "at most"]
FIRST_SLIDING = ""  # the first sliding window of the config


@dataclass(frozen=True)
class Peak:
    """The highest point of a curve among some windows, times a weight."""

    experiment: str
    where: Where = every_window
    weight: float = 1.0
    either_sign: bool = False  # the point that is furthest from 0, without its sign


@dataclass(frozen=True)
class Claim:
    """A claim: one highest point less another, compared with a threshold.

    Where `ahead` and `behind` are read, and when the claim is supported: `analysis.held_out`.
    """

    id: str
    claim: str
    statistic: str  # the number, in words
    bound: Bound
    threshold: float
    reason: str  # why this statistic, and why this threshold
    ahead: Peak | None = None  # None: not read off curves
    behind: Peak | None = None
    window: str = FIRST_SLIDING
    primary: bool = False  # of the family whose error rate is controlled

    @property
    def at_most(self) -> bool:
        """Whether the claim is that the number is small."""
        return self.bound == "at most"

    @property
    def experiments(self) -> list[str]:
        """Whose curves are read."""
        return list(dict.fromkeys(one.experiment for one in (self.ahead, self.behind) if one))


_ANY_ADVANTAGE = "Whether one is higher than the other needs no other threshold than 0."
_CHOSEN = "at the window chosen on other concepts"

CLAIMS = (
    Claim(
        id="value_vectors_nothing",
        claim="Value vectors alone recover almost nothing.",
        statistic="the largest absolute value of the value vectors' mean curve",
        bound="at most",
        threshold=NOTHING,
        reason="Every layer and both signs count, since harm is an effect, too. A KRS of "
        "0.1 cannot be distinguished from 0 on the paper's axis.",
        ahead=Peak(VALUE_VECTORS, either_sign=True),
        primary=True,
    ),
    Claim(
        id="attention_much",
        claim="Attention output of the middle and late layers recovers much.",
        statistic="the highest point of attention's curve in the upper two thirds of layers, "
        + _CHOSEN,
        bound="at least",
        threshold=MUCH,
        reason="At least half is recovered.",
        ahead=Peak(ATTENTION, in_thirds("middle", "late")),
        primary=True,
    ),
    Claim(
        id="attention_not_early",
        claim="Attention output of the middle and late layers recovers more than that of the early "
        "ones.",
        statistic="attention's highest point in the upper two thirds of layers, "
        + _CHOSEN
        + ", minus its highest in the lowest third",
        bound="above",
        threshold=0.0,
        reason=_ANY_ADVANTAGE,
        ahead=Peak(ATTENTION, in_thirds("middle", "late")),
        behind=Peak(ATTENTION, in_thirds("early")),
    ),
    Claim(
        id="coefficients_very_much",
        claim="MLP coefficients of the late layers recover very much.",
        statistic="the highest point of the coefficients' curve in the last third of layers, "
        + _CHOSEN,
        bound="at least",
        threshold=VERY_MUCH,
        reason="Half way between the thresholds of 'much' and of both components together.",
        ahead=Peak(MLP_COEFFICIENTS, in_thirds("late")),
        primary=True,
    ),
    Claim(
        id="coefficients_late",
        claim="MLP coefficients of the late layers recover more than those of the layers before.",
        statistic="the coefficients' highest point in the last third of layers, "
        + _CHOSEN
        + ", minus their highest before it",
        bound="above",
        threshold=0.0,
        reason=_ANY_ADVANTAGE,
        ahead=Peak(MLP_COEFFICIENTS, in_thirds("late")),
        behind=Peak(MLP_COEFFICIENTS, in_thirds("early", "middle")),
    ),
    Claim(
        id="last_layer_needed",
        claim="MLP coefficients: windows with the last layer recover more than those without.",
        statistic="the coefficients' highest point among windows that cover the last layer, "
        + _CHOSEN
        + ", minus their highest among windows that do not",
        bound="above",
        threshold=0.0,
        reason="If the last layer contributes most, no window without it does as well. "
        + _ANY_ADVANTAGE,
        ahead=Peak(MLP_COEFFICIENTS, with_last_layer),
        behind=Peak(MLP_COEFFICIENTS, without_last_layer),
    ),
    Claim(
        id="last_layer_best",
        claim="MLP coefficients: the last layer alone recovers more than any other layer alone.",
        statistic="the coefficients of the last layer alone, minus the highest of any other layer "
        "alone",
        bound="above",
        threshold=0.0,
        reason="The layer that contributes most gives more than any other. " + _ANY_ADVANTAGE,
        ahead=Peak(MLP_COEFFICIENTS, with_last_layer),
        behind=Peak(MLP_COEFFICIENTS, without_last_layer),
        window="sliding_1",
    ),
    Claim(
        id="last_layer_half",
        claim="MLP coefficients: the last layer alone recovers at least half of what the best "
        "suffix recovers.",
        statistic="the coefficients of the last layer alone, minus half of the highest that any "
        "suffix (a layer and all above) gives",
        bound="at least",
        threshold=0.0,
        reason="The last layer alone recovers at least as much as all other layers add to it.",
        ahead=Peak(MLP_COEFFICIENTS, topmost),
        behind=Peak(MLP_COEFFICIENTS, weight=MUCH),
        window="suffix",
    ),
    Claim(
        id="both_nearly_all",
        claim="Coefficients and attention together peak at 0.9 or more.",
        statistic="the highest point of their curve, " + _CHOSEN,
        bound="at least",
        threshold=NEARLY_ALL,
        reason="The number is the paper's.",
        ahead=Peak(BOTH),
        primary=True,
    ),
    Claim(
        id="both_over_value_vectors",
        claim="Coefficients and attention recover far more than value vectors.",
        statistic="the highest point of coefficients and attention, "
        + _CHOSEN
        + ", minus that of value vectors",
        bound="at least",
        threshold=MUCH,
        reason="The difference alone must be 'much'. The paper concludes from it that unlearning "
        "changes how knowledge is retrieved, not what is stored; that conclusion needs a "
        "reference model.",
        ahead=Peak(BOTH),
        behind=Peak(VALUE_VECTORS),
    ),
)

# Read off the models' answers, not off curves.
UNRELATED = Claim(
    id="unrelated_harmed",
    claim="Unlearning also harms unrelated knowledge.",
    statistic="ROUGE-L between the unlearned model's and the original's answers to unrelated "
    "questions, mean over questions, then concepts, then methods",
    bound="at most",
    threshold=1 - NOTHING,
    reason="A model that is not harmed answers as the original does, which gives 1; a loss of up "
    "to a tenth counts as almost nothing. Rewording also lowers the number.",
)
