"""From scores per position to the rows of the parquet contract."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from stillknows.engine.patches import LayerRange
from stillknows.engine.scores import Array, Scores
from stillknows.engine.windows import Window
from stillknows.terms import SPANS
from stillknows.texts.spans import Text


def tabulate(
    texts: Sequence[Text],
    windows: Sequence[Window],
    unlearned: Sequence[Scores],
    patched: Mapping[LayerRange, Sequence[Scores]],
    original_logprobs: Sequence[Array],
    *,
    noising: bool = False,
) -> pd.DataFrame:
    """One row per question x span x window.

    Args:
        unlearned: per text, of the unlearned model as it is, in both directions.
        patched: per window's layers and text.
        original_logprobs: per text, (positions,) of the original, nats.
        noising: whether the copy was patched into the original, so that there is a
            noising ratio and no KRS.
    """
    keys = {
        "window": [window.name for window in windows],
        "layer": [window.layer for window in windows],
        "first_layer": [window.first for window in windows],
        "last_layer": [window.last for window in windows],
    }
    parts = []
    for question, text in enumerate(texts):
        of_windows = [patched[window.first, window.last][question] for window in windows]
        for span in SPANS:
            positions = text.span(span)
            if positions is None:
                continue
            part: dict[str, Any] = {**keys, "question": question, "span": span}
            part |= _columns(
                text, positions, unlearned[question], of_windows, original_logprobs[question]
            )
            parts.append(pd.DataFrame(part))
    rows = pd.concat(parts, ignore_index=True)
    # Where the unlearned model's loss is 0, there is nothing to recover. In noising, a
    # patched loss of 0 is a ratio of 0.
    ratio = rows["loss_patched"] / rows["loss_unlearned"].where(rows["loss_unlearned"] != 0)
    noising_ratio = ratio.where(rows["loss_patched"] != 0, 0.0)
    return rows.assign(
        krs=np.nan if noising else 1 - ratio, noising_ratio=noising_ratio if noising else np.nan
    )


def _columns(
    text: Text,
    positions: range,
    unlearned: Scores,
    patched: Sequence[Scores],
    original_logprob: Array,
) -> dict[str, Any]:
    """The measured columns of one question under one span; patched ones are (windows,).

    Args:
        positions: those of the span.
    """
    start = text.compared.start
    within = slice(positions.start - start, positions.stop - start)

    def means(score: str) -> tuple[float, Array]:
        """A score's mean over the span's positions: of the unlearned model, of each window's."""
        rows = np.stack([getattr(run, score) for run in (unlearned, *patched)])
        of_runs: Array = rows[:, within].mean(axis=1)
        return of_runs[0], of_runs[1:]

    (loss, losses), (kl, kls) = means("squared_error"), means("kl")
    (agrees, agreements), (logprob, logprobs) = means("agrees"), means("logprob")
    # The last position, which is the notebook's span's, predicts no token of the text.
    is_known = positions.stop <= text.answer.stop
    return {
        "positions": len(positions),
        "loss_unlearned": loss,
        "loss_patched": losses,
        "kl_unlearned": kl,
        "kl_patched": kls,
        "top1_unlearned": agrees,
        "top1_patched": agreements,
        "answer_logprob_original": original_logprob[within].mean() if is_known else np.nan,
        "answer_logprob_unlearned": logprob if is_known else np.nan,
        "answer_logprob_patched": logprobs if is_known else np.nan,
    }
