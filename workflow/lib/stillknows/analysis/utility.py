"""What else a model can do: metrics of lm-evaluation-harness, beside the original's."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from stillknows.analysis.collect import NO_ORIGINS, Origins, with_origin
from stillknows.parquet_files import UTILITY_SCHEMA, read_table, without_categories
from stillknows.terms import ORIGINAL

_KEY = ["model", "concept", "task", "metric"]
COLUMNS = [
    *("model", "origin", "method", "concept", "concept_name", "task", "is_named", "metric"),
    *("value", "stderr", "items", "original", "difference", "version"),
]


def rows_of(evaluated: Mapping[str, Any], named: Sequence[str]) -> pd.DataFrame:
    """The rows of UTILITY_SCHEMA without those that name the model; a row per task and metric.

    Args:
        evaluated: what lm_eval.simple_evaluate returns.
        named: the tasks of the config.
    """
    rows = []
    for task, metrics in evaluated["results"].items():
        for key, value in metrics.items():
            metric, _, filter_ = key.partition(",")
            if not filter_ or metric.endswith("_stderr") or isinstance(value, str):
                continue
            stderr = metrics.get(f"{metric}_stderr,{filter_}")
            rows.append(
                {
                    "task": task,
                    "is_named": task in named,
                    "metric": metric if filter_ == "none" else f"{metric}, {filter_}",
                    "value": float(value),
                    "stderr": stderr if isinstance(stderr, float) else None,
                    "items": evaluated.get("n-samples", {}).get(task, {}).get("effective"),
                    "version": str(evaluated["versions"].get(task, "")),
                }
            )
    columns = [name for name in UTILITY_SCHEMA.names if not rows or name in rows[0]]
    return pd.DataFrame(rows, columns=columns).astype({"stderr": float, "items": "Int32"})


def utility_table(files: Iterable[Path], origins: Origins = NO_ORIGINS) -> pd.DataFrame:
    """tables/utility.csv: COLUMNS, sorted by their keys.

    original, difference: the original's value, and how much higher the copy's is; null of the
    original.
    """
    tables = pa.concat_tables(
        with_origin(read_table(path, UTILITY_SCHEMA), origins) for path in files
    )
    rows = without_categories(tables.unify_dictionaries().to_pandas())
    is_original = rows["method"] == ORIGINAL
    originals = rows[is_original].set_index(_KEY)["value"].rename("original")
    rows = rows.join(originals, on=_KEY)
    rows["original"] = rows["original"].mask(is_original)
    rows["difference"] = rows["value"] - rows["original"]
    order = ["model", "concept", "task", "metric", "method"]
    return rows.sort_values(order, kind="stable", ignore_index=True)[COLUMNS]
