"""The claims of the paper, and how each is decided.

Y. Hong et al., Dissecting Fine-Tuning Unlearning in Large Language Models, EMNLP 2024. The full
text was unavailable: the claims and their thresholds are this project's reading of the abstract and
of a summary of section 3, written when results of the demo were known. Where the paper says "much",
a number has to be chosen. Four thresholds serve all claims, on the scale of KRS from 0 (the
unlearned model's logits) to 1 (the original's):

    0.1  about nothing: within a tenth of the way
    0.5  much: half of the way
    0.7  very much: half way between much and what the paper reports for both components together
    0.9  what the paper reports for both components together
"""

from dataclasses import dataclass
from typing import Literal

from dissect.analysis.curve_statistics import (
    Reading,
    advantage,
    difference_of_peaks,
    final_layer_advantage,
    final_layer_share,
    furthest_from_zero,
    highest,
    in_thirds,
    peak,
)
from dissect.terms import ATTENTION, BOTH, MLP_COEFFICIENTS, VALUE_VECTORS

NOTHING, MUCH, VERY_MUCH, NEARLY_ALL = 0.1, 0.5, 0.7, 0.9

Bound = Literal["at least", "above", "at most"]
FIRST_SLIDING = ""  # the first sliding window of the config


@dataclass(frozen=True)
class Claim:
    """A claim, the number that decides it, and the threshold it is compared with.

    The claim holds if the whole 95 % interval is on the right side of the threshold, is not
    supported if it is wholly on the other, and is undecided otherwise.
    """

    id: str
    claim: str
    statistic: str  # what `read` does, in words
    bound: Bound
    threshold: float
    reason: str  # why this statistic, and why this threshold
    experiments: tuple[str, ...]  # the curves that `read` is given
    read: Reading  # the number, from the curves' windows and mean curves
    window: str = FIRST_SLIDING


_ANY_ADVANTAGE = "Which of the two is higher needs no threshold but 0."

CLAIMS = (
    Claim(
        id="value_vectors_nothing",
        claim="Value vectors alone recover about nothing.",
        statistic="the value vectors' mean curve where it is furthest from 0, without its sign",
        bound="at most",
        threshold=NOTHING,
        reason="At no layer, and neither way: a patch that harms is not nothing. A tenth of the "
        "way is not told from 0 on the paper's axis.",
        experiments=(VALUE_VECTORS,),
        read=furthest_from_zero,
    ),
    Claim(
        id="attention_much",
        claim="Attention states of the middle and late layers recover much.",
        statistic="the highest point of attention's mean curve in the upper two thirds of layers",
        bound="at least",
        threshold=MUCH,
        reason="More is back than is missing.",
        experiments=(ATTENTION,),
        read=highest(in_thirds("middle", "late")),
    ),
    Claim(
        id="attention_not_early",
        claim="It is the attention of the middle and late layers, not of the early ones.",
        statistic="attention's highest point in the upper two thirds of layers, less its highest "
        "in the lowest third",
        bound="above",
        threshold=0.0,
        reason=_ANY_ADVANTAGE,
        experiments=(ATTENTION,),
        read=advantage(in_thirds("middle", "late"), in_thirds("early")),
    ),
    Claim(
        id="coefficients_very_much",
        claim="MLP coefficients of the late layers recover very much.",
        statistic="the highest point of the coefficients' mean curve in the last third of layers",
        bound="at least",
        threshold=VERY_MUCH,
        reason="More than much, less than both components together: half way between their "
        "thresholds.",
        experiments=(MLP_COEFFICIENTS,),
        read=highest(in_thirds("late")),
    ),
    Claim(
        id="coefficients_late",
        claim="It is the coefficients of the late layers, not of those before.",
        statistic="the coefficients' highest point in the last third of layers, less their highest "
        "before it",
        bound="above",
        threshold=0.0,
        reason=_ANY_ADVANTAGE,
        experiments=(MLP_COEFFICIENTS,),
        read=advantage(in_thirds("late"), in_thirds("early", "middle")),
    ),
    Claim(
        id="last_layer_needed",
        claim="The last layer is the coefficients' main contributor: windows that cover it.",
        statistic="the coefficients' highest point among windows that cover the last layer, less "
        "their highest among windows that do not",
        bound="above",
        threshold=0.0,
        reason="If it is the main contributor, no window without it does as well. "
        + _ANY_ADVANTAGE,
        experiments=(MLP_COEFFICIENTS,),
        read=final_layer_advantage,
    ),
    Claim(
        id="last_layer_best",
        claim="The last layer is the coefficients' main contributor: single layers.",
        statistic="the coefficients of the last layer alone, less the highest of any other layer "
        "alone",
        bound="above",
        threshold=0.0,
        reason="The main contributor gives more than any other. " + _ANY_ADVANTAGE,
        experiments=(MLP_COEFFICIENTS,),
        read=final_layer_advantage,
        window="sliding_1",
    ),
    Claim(
        id="last_layer_half",
        claim="The last layer is the coefficients' main contributor: it alone, of all.",
        statistic="the coefficients of the last layer alone, over the highest that any suffix "
        "(a layer and all above) gives",
        bound="at least",
        threshold=MUCH,
        reason="More comes from it than all other layers add to it.",
        experiments=(MLP_COEFFICIENTS,),
        read=final_layer_share,
        window="suffix",
    ),
    Claim(
        id="both_nearly_all",
        claim="Coefficients and attention together peak at 0.9 or more.",
        statistic="the highest point of their mean curve",
        bound="at least",
        threshold=NEARLY_ALL,
        reason="The number is the paper's.",
        experiments=(BOTH,),
        read=peak,
    ),
    Claim(
        id="both_over_value_vectors",
        claim="Coefficients and attention recover far more than value vectors.",
        statistic="the highest point of coefficients and attention, less that of value vectors",
        bound="at least",
        threshold=MUCH,
        reason="The difference alone is much. The paper concludes from it that unlearning changes "
        "how knowledge is retrieved, not what is stored; that conclusion needs a reference model.",
        experiments=(BOTH, VALUE_VECTORS),
        read=difference_of_peaks,
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
    reason="Unharmed, a model answers as the original does, which gives 1; a tenth of the way is "
    "about nothing. The measure also counts mere rewording.",
    experiments=(),
    read=peak,
)
