"""Tables as CSV files: how each is written and read, whatever it holds."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from dissect.files import atomic_path


def write_csv(path: Path, frame: pd.DataFrame) -> None:
    """Write a table whole or not at all; numbers to ten digits, null as an empty field."""
    with atomic_path(path) as partial:
        frame.to_csv(partial, index=False, float_format="%.10g", lineterminator="\n")


def read_csv(path: Path, numbers: Sequence[str], whole: Sequence[str] = ()) -> pd.DataFrame:
    """Read a table that `write_csv` wrote: all columns are text but for those named.

    Args:
        numbers: columns of numbers, where an empty field is null.
        whole: columns of whole numbers, never empty.
    """
    table = pd.read_csv(path, dtype=str, keep_default_na=False)  # a model may be called NA
    numeric = {name: pd.to_numeric(table[name]) for name in numbers}
    return table.assign(**numeric).astype(dict.fromkeys(numbers, float) | dict.fromkeys(whole, int))
