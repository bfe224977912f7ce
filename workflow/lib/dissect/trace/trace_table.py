"""The table of weight changes: one row per component and layer, one for the concept vector."""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from dissect.errors import DissectError
from dissect.results.csv_files import read_csv
from dissect.results.schema import read_rows
from dissect.trace.schema import ATTENTION, CONCEPT_VECTOR, MLP, TRACE_COLUMNS

_ORDER = [*ATTENTION, *MLP, CONCEPT_VECTOR]
_NUMBERS = ["relative_change", "dim", "cosine", "l2", "jaccard"]


def collect_traces(paths: Iterable[Path]) -> pd.DataFrame:
    """All traces' rows, TRACE_COLUMNS, sorted by their keys; components as `_ORDER` has them.

    Raises:
        DissectError: if one of the files cannot be read.
    """
    every = pd.concat([read_rows(path) for path in paths], ignore_index=True)
    keys = {name: every[name].astype(str) for name in ("model", "origin", "method", "concept")}
    every = every.assign(**keys, order=every["component"].map(_ORDER.index).astype(int))
    rows = every.sort_values([*keys, "order", "layer"], ignore_index=True)
    return rows[TRACE_COLUMNS]


def read_trace(path: Path, model: str) -> pd.DataFrame:
    """One model's rows of tables/trace.csv.

    Raises:
        DissectError: if there are none.
    """
    rows = read_csv(path, _NUMBERS, whole=["layer"])
    rows = rows[rows["model"] == model].reset_index(drop=True)
    if rows.empty:
        raise DissectError(f"{path} has no row with model {model}: draw what was computed")
    return rows
