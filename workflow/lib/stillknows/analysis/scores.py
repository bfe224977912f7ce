"""What the scores are: how much of what unlearning took is back. 0: none of it, 1: all of it.

krs is the paper's, a question at a time. The others compare means, and stand beside it because each
looks at something else of the same logits (docs/explanation/scores.md).
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from stillknows.terms import KRS, KRS_OF_MEANS, NOISING_RATIO, SCORES


@dataclass(frozen=True)
class Measure:
    """Something that is measured of the unlearned model, patched and not."""

    patched: str  # the columns of the sweeps that hold it
    unlearned: str
    original: float | str  # what the original has: a number, or the column that holds it
    rises: bool  # whether more of it is nearer to the original
    least: float = 0.0  # how much must have been lost to be told from rounding

    @property
    def columns(self) -> list[str]:
        columns = (self.patched, self.unlearned, self.original)
        return [name for name in columns if isinstance(name, str)]

    def recovered(self, frame: pd.DataFrame) -> "pd.Series[float]":
        """1 - (original - patched) / (original - unlearned), row by row.

        Null where unlearning took nothing (`least` or less), so that nothing can come back.
        """
        original = frame[self.original] if isinstance(self.original, str) else self.original
        gap = original - frame[self.unlearned]
        loss = gap if self.rises else -gap
        ratio = 1 - (original - frame[self.patched]) / gap.where(loss > self.least)
        return ratio.where(np.isfinite(ratio))


# Nats: differences of logarithms of float32 sums over a vocabulary, of some 1e-6 each.
_ROUNDING = 1e-4

KL_RECOVERED, LOGPROB_RECOVERED = "kl_recovered", "logprob_recovered"
MEASURES = {
    KRS_OF_MEANS: Measure("loss_patched", "loss_unlearned", 0.0, rises=False),
    KL_RECOVERED: Measure("kl_patched", "kl_unlearned", 0.0, rises=False, least=_ROUNDING),
    "top1_recovered": Measure("top1_patched", "top1_unlearned", 1.0, rises=True),
    LOGPROB_RECOVERED: Measure(
        "answer_logprob_patched",
        "answer_logprob_unlearned",
        "answer_logprob_original",
        rises=True,
        least=_ROUNDING,
    ),
}
OTHERS = [name for name in MEASURES if name != KRS_OF_MEANS]
EVERY_SCORE = [*SCORES, *OTHERS]
# The mean of the questions' own scores, as the sweeps have them; the others are of mean losses.
PER_QUESTION = (KRS, NOISING_RATIO)
