"""Depths with planted fact losses, for the tests of tables, figures and the report."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from stillknows.analysis.collect import with_reference

LAYERS = 6  # thirds of two layers each

FactLoss = Callable[[int, int, int], float]  # of a concept, question and layer


def planted_depth(
    copy_loss: FactLoss,
    reference_loss: FactLoss,
    *,
    concepts: int = 6,
    questions: int = 2,
    layers: int = LAYERS,
    **more: Any,
) -> pd.DataFrame:
    """Rows of tables/depth.parquet in which facts lose what the two functions say, in nats.

    Args:
        more: other columns' values.
    """
    index = pd.MultiIndex.from_product(
        [range(concepts), range(questions), range(layers)], names=["number", "question", "layer"]
    )
    rows = index.to_frame(index=False)
    rows["concept"] = [f"c{number}" for number in rows["number"]]
    key = {"model": "tiny", "method": "dpo", "origin": "own", "form": "corrected", "tokens": 2}
    rows = rows.assign(
        **(key | more), concept_name=rows["concept"], logprob_original=-1.0, logprob_lens=-2.0
    )

    def patched(loss: FactLoss) -> pd.DataFrame:
        losses = [loss(*map(int, point)) for point in index]
        return rows.assign(logprob_patched=-1.0 - np.array(losses))

    return with_reference(patched(copy_loss), patched(reference_loss))
