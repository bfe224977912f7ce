"""tables/depth.csv: how much the facts lose to an unlearned model, beside its reference model."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from dissect.analysis.bootstrap import (
    MIN_CONCEPTS,
    Array,
    Statistic,
    estimate,
    mean_and_interval,
    too_few,
)
from dissect.analysis.curve_statistics import in_thirds
from dissect.analysis.outcomes import NO_REFERENCE, outcome_of
from dissect.depth.scores import LEAST_DAMAGE, uds

_COPY = ["model", "origin", "method"]
_METHOD = [*_COPY, "form"]
_NUMBERS = ("uds", "copy", "reference", "difference", "ratio")
SUMMARY_COLUMNS = [
    *(*_METHOD, "layers", "first_layer", "last_layer"),
    *(name + end for name in _NUMBERS for end in ("", "_low", "_high")),
    *("n", "unit", "outcome", "note"),
]
# Over which layers damages are averaged: one layer, the lower two thirds, or all.
ONE, LOWER_AND_MIDDLE, ALL = "one", "lower_and_middle", "all"
CONCEPT, QUESTION = "concept", "question"


def depth_summary(
    depth: pd.DataFrame, without_reference: Iterable[Mapping[str, str]] = (), seed: int = 0
) -> pd.DataFrame:
    """Mean damages of the copy and of the reference, their difference and ratio, and UDS.

    Damages are in nats per token of the fact: means over questions, then concepts. The unit of
    intervals is the concept, or the question where there is a single concept. The difference is
    the reference's damage less the copy's of the same questions, so it is above 0 where the copy
    does less damage. The ratio is the copy's mean damage over the reference's, not clipped; null
    where the reference's is at most LEAST_DAMAGE.

    UDS (`depth.scores.uds`) stands in the rows of all layers. Their outcome follows from the
    difference, not from UDS: clipped at 1, UDS is below 1 for models that never knew the facts too.

    Args:
        depth: rows of tables/depth.parquet.
        without_reference: model, origin and method of copies that have no reference model.
        seed: of the bootstrap.

    Returns:
        SUMMARY_COLUMNS, a row per model, origin, method, form and group of layers: each layer
        (ONE), LOWER_AND_MIDDLE and ALL. `outcome` is ABOVE where the ratio is defined and the whole
        interval of the difference is above 0, else NOT_DISTINGUISHABLE; and NO_REFERENCE in the one
        row of a copy without a reference model. `note` says why an interval is missing.
    """
    groups = depth.groupby(_METHOD, observed=True, sort=True)
    parts = [
        _of_method(rows, seed).assign(**dict(zip(_METHOD, map(str, key), strict=True)))
        for key, rows in groups
    ]
    measured = {key[:-1] for key, _ in groups}
    names = {tuple(copy[column] for column in _COPY) for copy in without_reference}
    absent = pd.DataFrame(sorted(names - measured), columns=_COPY)
    absent = absent.assign(form="", layers=ALL, n=0, unit="", outcome=NO_REFERENCE, note="")
    table = pd.concat([*parts, *([] if absent.empty else [absent])], ignore_index=True)
    table = table.reindex(columns=SUMMARY_COLUMNS)
    return table.astype(dict.fromkeys(["first_layer", "last_layer"], "Int64"))


def _of_method(depth: pd.DataFrame, seed: int) -> pd.DataFrame:
    """The rows of one model, origin, method and form."""
    unit = CONCEPT if depth["concept"].nunique() > 1 else QUESTION
    damages = _damages(depth, unit)
    groups = _groups_of_layers(damages["copy"].columns.to_numpy())
    copy, reference = (
        _means_of(damages[name].to_numpy(float)[None], groups["chosen"])
        for name in ("copy", "reference")
    )
    points = range(len(groups))
    numbers = {
        "uds": _uds(depth, unit, seed).set_axis([points[-1]]).reindex(points),
        **{
            name: pd.DataFrame(mean_and_interval(values, seed))
            for name, values in [
                ("copy", copy),
                ("reference", reference),
                ("difference", reference - copy),
            ]
        },
        "ratio": pd.DataFrame(
            vars(estimate(_ratio, copy[..., [point]], reference[..., [point]], seed=seed))
            for point in points
        ),
    }
    table = groups.drop(columns="chosen").assign(n=numbers["difference"]["n"], unit=unit)
    for name, number in numbers.items():
        ends = {"value": name, "low": f"{name}_low", "high": f"{name}_high"}
        table = table.join(number[list(ends)].rename(columns=ends))
    is_comparable = table["ratio"].notna()
    return table.assign(
        outcome=outcome_of(table["difference_low"].where(is_comparable)),
        note=[_note(row) for row in table.to_dict("records")],
    )


def _damages(depth: pd.DataFrame, unit: str) -> pd.DataFrame:
    """Mean damages by unit; columns: (copy | reference, layer)."""
    damages = depth.assign(
        copy=depth["logprob_original"] - depth["logprob_copy"],
        reference=depth["logprob_original"] - depth["logprob_reference"],
    ).dropna(subset=["copy", "reference"])
    return damages.pivot_table(
        index=unit, columns="layer", values=["copy", "reference"], observed=True
    )


def _groups_of_layers(layers: np.ndarray[Any, Any]) -> pd.DataFrame:
    """The groups of layers, with their ends, and in `chosen` which of the layers they hold."""
    windows = pd.DataFrame({"layer": layers, "last_layer": layers})
    groups = [(ONE, layers == layer) for layer in layers]
    groups += [(LOWER_AND_MIDDLE, in_thirds("early", "middle")(windows))]
    groups += [(ALL, np.full(len(layers), True))]
    rows = [(name, layers[chosen][0], layers[chosen][-1], chosen) for name, chosen in groups]
    return pd.DataFrame(rows, columns=["layers", "first_layer", "last_layer", "chosen"])


def _means_of(values: Array, groups: Iterable[Any]) -> Array:
    """Each unit's mean over groups of layers: (1, units, layers) -> (1, units, groups)."""
    return np.stack([values[..., chosen].mean(axis=-1) for chosen in groups], axis=-1)


def _ratio(*_: Array) -> Statistic:
    """How the ratio of two mean damages is taken, (draws, 1) each; it needs no other number."""

    def ratio(copy: Array, reference: Array) -> Array:
        is_large = reference[:, 0] > LEAST_DAMAGE
        return np.where(is_large, copy[:, 0] / np.where(is_large, reference[:, 0], 1.0), np.nan)

    return ratio


def _uds(depth: pd.DataFrame, unit: str, seed: int) -> pd.DataFrame:
    """UDS over the units, with its interval: one row."""
    scores = uds(depth)
    of_unit = scores[scores["question"].isna() == (unit == CONCEPT)]
    values = of_unit["uds"].to_numpy(float)[None, :, None]
    return pd.DataFrame(mean_and_interval(values, seed))


def _note(row: Mapping[Any, Any]) -> str:
    """What a reader must know of a row: that it is exploratory, and why it has no interval."""
    is_small = not row["reference"] > LEAST_DAMAGE
    notes = [
        "exploratory" if row["layers"] == LOWER_AND_MIDDLE else "",
        too_few(row["n"], row["unit"]) if row["n"] < MIN_CONCEPTS else "",
        f"the reference model does at most {LEAST_DAMAGE} nats per token of damage"
        if is_small
        else "",
    ]
    return "; ".join(filter(None, notes))
