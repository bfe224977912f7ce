"""From scores per position to the rows of the parquet contract."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from dissect.engine.scores import Array, Scores
from dissect.study.windows import Window
from dissect.texts.spans import ANSWER, SPANS, Text


def tabulate(
    texts: Sequence[Text],
    windows: Sequence[Window],
    layers: Sequence[tuple[int, int]],
    scores: Sequence[Scores],
    original_logprobs: Sequence[Array],
) -> pd.DataFrame:
    """One row per question x span x window.

    Args:
        layers: first and last layer of each patched row; row 0 of `scores` is the unpatched run.
        scores: per text, as `sweep` returns them.
        original_logprobs: per text, (positions,) of the original, nats.
    """
    row_of = {pair: number + 1 for number, pair in enumerate(layers)}
    patched = [row_of[window.first, window.last] for window in windows]
    keys = {
        "window": [window.name for window in windows],
        "layer": [window.layer for window in windows],
        "first_layer": [window.first for window in windows],
        "last_layer": [window.last for window in windows],
    }
    parts = []
    for question, text in enumerate(texts):
        for span in SPANS:
            part: dict[str, Any] = {**keys, "question": question, "span": span}
            part |= _columns(text, span, scores[question], original_logprobs[question], patched)
            parts.append(pd.DataFrame(part))
    return pd.concat(parts, ignore_index=True)


def _columns(
    text: Text, span: str, scores: Scores, original_logprob: Array, patched: list[int]
) -> dict[str, Any]:
    """The measured columns of one question under one span; patched ones are (windows,)."""
    positions = text.span(span)
    start = text.compared.start
    within = slice(positions.start - start, positions.stop - start)

    def mean(values: Array) -> Array:
        """(rows, positions) to (rows,), over the span's positions."""
        return np.asarray(values[:, within].mean(axis=1))

    loss, kl, agrees = mean(scores.squared_error), mean(scores.kl), mean(scores.agrees)
    # Under the notebook's span the last position predicts no token of the text.
    known = span == ANSWER
    logprob = mean(scores.logprob) if known else np.full(len(loss), np.nan)
    return {
        "positions": len(positions),
        "loss_unlearned": loss[0],
        "loss_patched": loss[patched],
        "krs": recovery(loss[0], loss[patched]),
        "kl_unlearned": kl[0],
        "kl_patched": kl[patched],
        "top1_unlearned": agrees[0],
        "top1_patched": agrees[patched],
        "answer_logprob_original": original_logprob[within].mean() if known else np.nan,
        "answer_logprob_unlearned": logprob[0],
        "answer_logprob_patched": logprob[patched],
    }


def recovery(unlearned: float, patched: Array) -> Array:
    """Knowledge Recovery Score, 1 - loss(patched) / loss(unlearned) (paper, section 3).

    There is nothing to recover where the unlearned model's loss is 0: the score is NaN there, and
    null in the table.
    """
    if unlearned == 0:
        return np.full(len(patched), np.nan)
    return np.asarray(1 - patched / unlearned)
