"""The self-patch check: a model's own activations, patched into itself, must change nothing.

In the original the loss stays 0, in an unlearned model KRS 0. A sweep for which that fails patches
something else than it says.
"""

import numpy as np
import pandas as pd

from stillknows.engine.windows import SUFFIX, Window, windows_of
from stillknows.errors import StudyError

# How far logits may move, as a share of their size (root mean squares). Runs share batches of other
# sizes, and a product's last bits depend on that: bfloat16 has 8 bits, float16 11, float32 24.
# Another layer's activations, or another question's, move the logits by about their size.
TOLERANCE = {"torch.float32": 1e-4, "torch.float16": 2e-2, "torch.bfloat16": 1e-1}


def self_patch_windows(name: str, layers: int) -> list[Window]:
    """The middle window of a kind, the top one, and all of a model's layers; none twice."""
    every = windows_of([name], layers)
    chosen = (every[len(every) // 2], every[-1], Window(SUFFIX, 0, 0, layers - 1))
    return list(dict.fromkeys(chosen))


def refuse_changed(rows: pd.DataFrame, size: float, dtype: str, label: str) -> float:
    """The largest change of a model by its own states; a StudyError names a row above TOLERANCE.

    For an original, also of its own logits: |sqrt(patched) - sqrt(unpatched)| of the losses is at
    most the distance that the logits moved. rows: as in a sweep, of one model and concept. size:
    root mean square of the original's logits.
    """
    moved = (np.sqrt(rows["loss_patched"]) - np.sqrt(rows["loss_unlearned"])).abs() / size
    if (rows["method"] == "original").all():
        moved = np.maximum(moved, np.sqrt(rows["loss_unlearned"]) / size)
    moved = moved.fillna(np.inf)  # what is no number is no rounding
    worst = rows.iloc[int(np.argmax(moved))]
    change, most = float(moved.max()), TOLERANCE[dtype]
    if change > most:
        raise StudyError(
            f"self_patch: {label}: its own states, patched at layers {worst['first_layer']} to "
            f"{worst['last_layer']} ({worst['experiment']}), move its logits on question "
            f"{worst['question']} by {change:.2g} of their size; rounding in "
            f"{dtype.removeprefix('torch.')} explains at most {most:g}, so no result can be "
            "trusted; delete the recording and run again "
            "(docs/explanation/controls-answers-weights.md)"
        )
    return change
