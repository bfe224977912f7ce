"""Tables as CSV files: how each is written and read, whatever it holds."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from dissect.errors import DissectError
from dissect.files import atomic_path


def write_csv(path: Path, frame: pd.DataFrame) -> None:
    """Write a table whole or not at all; numbers to ten digits, null as an empty field."""
    with atomic_path(path) as partial:
        frame.to_csv(partial, index=False, float_format="%.10g", lineterminator="\n")


def read_csv(
    path: Path,
    numbers: Sequence[str],
    whole: Sequence[str] = (),
    only: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Read a table that `write_csv` wrote, or its rows with the given values.

    Args:
        numbers: columns of numbers, where an empty field is null.
        whole: columns of whole numbers, never empty. All others are text.
        only: columns and the value that they must have.

    Raises:
        DissectError: if `only` is given and there is no such row.
    """
    table = pd.read_csv(path, dtype=str, keep_default_na=False)  # a model may be called NA
    for column, value in (only or {}).items():
        table = table[table[column] == value]
    if only is not None and table.empty:
        raise no_such_row(path, only)
    numeric = {name: pd.to_numeric(table[name]) for name in numbers}
    kinds = dict.fromkeys(numbers, float) | dict.fromkeys(whole, int)
    return table.assign(**numeric).astype(kinds).reset_index(drop=True)


def no_such_row(table: Path, only: Mapping[str, str]) -> DissectError:
    """The error of a selection that has no row in a table."""
    selection = ", ".join(f"{column} {value}" for column, value in only.items())
    return DissectError(
        f"{table} has no row with {selection}: only what the config asks for is computed, "
        "see windows, figures and behaviour there"
    )
