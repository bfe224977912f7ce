"""From all rows to curves: means over questions, concepts and methods, with intervals."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dissect.errors import DissectError
from dissect.files import atomic_path

SCORES = ["krs", "krs_of_means"]
ALL_METHODS = "all"
RESAMPLES = 2000
MIN_CONCEPTS = 5  # under five concepts a bootstrap has too few distinct resamples to mean anything
INTERVAL = (2.5, 97.5)  # percentiles of the bootstrap means

_POINT = ["window", "span", "donor", "layer", "first_layer", "last_layer"]
_CONCEPT_POINT = ["model", "origin", "method", "experiment", "concept", "concept_name", *_POINT]
_CURVE = ["model", "origin", "experiment", "window", "span", "donor", "score"]
_KEYS = ["model", "origin", "method", "experiment", *_POINT, "score"]
CURVE_COLUMNS = [*_KEYS, "mean", "low", "high", "concepts", "questions", "null"]

_Array = npt.NDArray[np.float64]


def concept_scores(table: Path, score: str = "", **only: str) -> pd.DataFrame:
    """Each concept's scores: the mean over its questions, read row group by row group.

    krs is the mean of the questions' KRS; krs_of_means is 1 - mean(loss_patched) /
    mean(loss_unlearned). A KRS that is null (the unpatched loss is 0) or not finite is left out
    and counted.

    Args:
        table: tables/krs.parquet.
        score: one of SCORES; both if left out.
        only: columns and the value that they must have, such as model="olmo-7b".

    Returns:
        one row per model, origin, method, experiment, concept, window, span, donor, layer and
        score, with value (null if there is none), questions (how many are in the value) and null
        (how many had to be left out); keys are pandas categories.

    Raises:
        DissectError: if there is no such row, or no such score.
    """
    if score not in ("", *SCORES):
        raise DissectError(f"score {score!r} is unknown; legal: {', '.join(SCORES)}")
    file = pq.ParquetFile(table)
    columns = [*_CONCEPT_POINT, "krs", "loss_patched", "loss_unlearned"]
    parts = []
    for group in range(file.num_row_groups):
        rows = file.read_row_group(group, columns=columns, use_threads=False)
        for column, value in only.items():
            rows = rows.filter(pc.equal(rows[column], value))
        if rows.num_rows:
            parts.append(_over_questions(rows))
    if not parts:
        raise DissectError(_nothing(table, only))
    wide = pa.concat_tables(parts).unify_dictionaries().to_pandas()
    wanted = [score] if score else SCORES
    return pd.concat([_SCORES[name](wide) for name in wanted], ignore_index=True)


def _over_questions(rows: pa.Table) -> pa.Table:
    rows = rows.set_column(rows.schema.get_field_index("krs"), "krs", _finite(rows["krs"]))
    return rows.group_by(_CONCEPT_POINT, use_threads=False).aggregate(
        [
            ("krs", "mean"),
            ("krs", "count"),
            ("loss_patched", "mean"),
            ("loss_unlearned", "mean"),
            ([], "count_all"),
        ]
    )


def _of_ratios(wide: pd.DataFrame) -> pd.DataFrame:
    return wide[_CONCEPT_POINT].assign(
        score="krs",
        value=wide["krs_mean"],
        questions=wide["krs_count"],
        null=wide["count_all"] - wide["krs_count"],
    )


def _of_means(wide: pd.DataFrame) -> pd.DataFrame:
    base = wide["loss_unlearned_mean"].where(wide["loss_unlearned_mean"] != 0)
    value = 1 - wide["loss_patched_mean"] / base
    value = value.where(np.isfinite(value))
    return wide[_CONCEPT_POINT].assign(
        score="krs_of_means",
        value=value,
        questions=wide["count_all"].where(value.notna(), 0),
        null=wide["count_all"].where(value.isna(), 0),
    )


_SCORES = {"krs": _of_ratios, "krs_of_means": _of_means}


def _finite(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The column with null for all that is not a finite number."""
    return pc.if_else(pc.is_finite(column), column, pa.scalar(None, column.type))


def curves(scores: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """Curves against layer: the mean over concepts, per method and, as "all", over methods.

    "all" is the mean over methods of their means over concepts, as the paper averages. Origins
    are never pooled. low and high are the 2.5th and 97.5th percentile of RESAMPLES bootstrap
    means, concepts being drawn with replacement (in "all" the same draw for every method); null
    where fewer than MIN_CONCEPTS concepts have a value. They are pointwise: each layer's own.

    Args:
        scores: what `concept_scores` returns.
        seed: of the bootstrap; every curve starts from it afresh.

    Returns:
        CURVE_COLUMNS, sorted by all their keys; questions and null count questions of all
        concepts (and, in "all", of all methods), concepts counts each concept once.
    """
    found: list[pd.DataFrame] = [
        _curves_of(dict(zip(_CURVE, key, strict=True)), group, seed)
        for key, group in scores.groupby(_CURVE, observed=True, sort=True)
    ]
    every = pd.concat(found, ignore_index=True)[CURVE_COLUMNS]
    every = every.astype({key: str for key in _KEYS if "layer" not in key})
    return every.sort_values(_KEYS, ignore_index=True)


def _curves_of(key: Mapping[str, Any], group: pd.DataFrame, seed: int) -> pd.DataFrame:
    layers = group[["layer", "first_layer", "last_layer"]].drop_duplicates().sort_values("layer")
    methods = sorted(group["method"].astype(str).unique())
    values, questions, null = (
        _cube(group, column, methods, layers["layer"]) for column in ("value", "questions", "null")
    )
    found: list[pd.DataFrame] = []
    for name in [*methods, ALL_METHODS]:
        part = slice(None) if name == ALL_METHODS else [methods.index(name)]
        there = values[part]
        low, high = _interval(there, seed)
        curve = layers.assign(
            **key,
            method=name,
            mean=_mean(_mean(there, axis=1), axis=0),
            low=low,
            high=high,
            concepts=np.isfinite(there).any(axis=0).sum(axis=0),
            questions=np.nansum(questions[part], axis=(0, 1)).astype(int),
            null=np.nansum(null[part], axis=(0, 1)).astype(int),
        )
        present = np.isfinite(questions[part]).sum(axis=(0, 1)) > 0  # rows, if only of nulls
        found.append(curve.loc[present])
    return pd.concat(found, ignore_index=True)


def _cube(group: pd.DataFrame, column: str, methods: list[str], layers: "pd.Series[int]") -> _Array:
    """The column as (methods, concepts, layers), NaN where there is no row."""
    concepts, concept = np.unique(group["concept"].astype(str), return_inverse=True)
    cube = np.full((len(methods), len(concepts), len(layers)), np.nan)
    method = np.searchsorted(methods, group["method"].astype(str))
    layer = np.searchsorted(layers.to_numpy(), group["layer"])
    cube[method, concept, layer] = group[column].to_numpy(dtype=float)
    return cube


def _mean(values: _Array, axis: int) -> _Array:
    """The mean along an axis of what is not NaN; NaN where nothing is."""
    count = np.isfinite(values).sum(axis=axis)
    total: _Array = np.nansum(values, axis=axis)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _interval(values: _Array, seed: int) -> tuple[_Array, _Array]:
    """Bootstrap interval of the mean over methods of the means over concepts.

    Args:
        values: (methods, concepts, layers), NaN where there is no value.

    Returns:
        low and high, (layers,) each; NaN where under MIN_CONCEPTS concepts have a value.
    """
    there = np.isfinite(values)
    enough = there.any(axis=0).sum(axis=0) >= MIN_CONCEPTS
    if not enough.any():
        nothing = np.full(values.shape[2], np.nan)
        return nothing, nothing
    # A concept without any value is no unit to draw.
    keep = there.any(axis=(0, 2))
    there, values = there[:, keep], np.where(there, values, 0.0)[:, keep]
    concepts = values.shape[1]
    draws = np.random.default_rng(seed).multinomial(
        concepts, np.full(concepts, 1 / concepts), size=RESAMPLES
    )
    # einsum, not matmul: BLAS may add in another order when the number of threads changes.
    total = np.einsum("rc,mcl->mrl", draws.astype(float), values)
    weight = np.einsum("rc,mcl->mrl", draws, there.astype(int))
    means = np.where(weight > 0, total / np.maximum(weight, 1), np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a layer without any value gives NaN
        low, high = np.nanpercentile(_mean(means, axis=0), INTERVAL, axis=0)
    return np.where(enough, low, np.nan), np.where(enough, high, np.nan)


def read_curves(path: Path, **only: str) -> pd.DataFrame:
    """Read tables/curves.csv, or its rows with the given values: keys are text.

    Raises:
        DissectError: if there is no such row.
    """
    numbers = ["mean", "low", "high"]
    found = pd.read_csv(
        path,
        dtype={key: str for key in _KEYS if "layer" not in key} | dict.fromkeys(numbers, float),
        keep_default_na=False,  # a concept or model may well be called NA
        na_values={name: [""] for name in numbers},
    )
    for column, value in only.items():
        found = found[found[column] == value]
    if found.empty:
        raise DissectError(_nothing(path, only))
    return found.reset_index(drop=True)


def _nothing(table: Path, only: Mapping[str, str]) -> str:
    selection = ", ".join(f"{column} {value}" for column, value in only.items())
    return (
        f"{table} has no row with {selection}: draw what was computed, "
        "see windows and figures in the config"
    )


def write_csv(path: Path, frame: pd.DataFrame) -> None:
    """Write a table whole or not at all; numbers to ten digits, null as an empty field."""
    with atomic_path(path) as partial:
        frame.to_csv(partial, index=False, float_format="%.10g", lineterminator="\n")
