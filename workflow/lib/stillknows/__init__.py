"""Dissecting Fine-Tuning Unlearning (EMNLP 2024): unlearned models, patched layer by layer."""

import gc
import sys

__version__ = "0.1.0"


def collect_garbage_rarely() -> None:
    """Look for unreachable objects after every 100,000 new ones, where Python does after 700: that
    took a tenth of importing torch, and of planning a large study.
    """
    gc.set_threshold(100_000, 20, 20)


# Here, since a job's script begins with imports of this package. Snakemake has given the script an
# object `snakemake` that knows its rule; other programs that import this package stay as they are.
if hasattr(getattr(sys.modules["__main__"], "snakemake", None), "rule"):
    collect_garbage_rarely()
