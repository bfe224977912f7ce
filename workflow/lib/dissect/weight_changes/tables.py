"""tables/weight_changes.csv: the weight changes of all checkpoints."""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd
import pyarrow as pa

from dissect.results.schema import read_table
from dissect.weight_changes.schema import ATTENTION, CHANGES_SCHEMA, CONCEPT_VECTOR, MLP


def all_weight_changes(paths: Iterable[Path]) -> pd.DataFrame:
    """The rows of all checkpoints, CHANGES_COLUMNS, sorted by their keys; attention before MLP."""
    tables = pa.concat_tables(read_table(path, CHANGES_SCHEMA) for path in paths)
    rows: pd.DataFrame = tables.unify_dictionaries().to_pandas()
    order = [*ATTENTION, *MLP, CONCEPT_VECTOR]
    rows["component"] = pd.Categorical(rows["component"], order)
    keys = ["model", "origin", "method", "concept"]
    rows = rows.astype(dict.fromkeys(keys, str))
    return rows.sort_values([*keys, "component", "layer"], ignore_index=True)
