"""tables/depth.csv: how much the facts lose to an unlearned model, beside its reference model."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from stillknows.analysis.bootstrap import (
    MIN_CONCEPTS,
    Array,
    Statistic,
    estimate,
    mean_and_interval,
    too_few,
)
from stillknows.analysis.curve_statistics import in_thirds
from stillknows.analysis.outcomes import FACTS_SURVIVE, LESS, MORE, NO_REFERENCE, outcomes_of_means
from stillknows.analysis.uds import LEAST_FACT_LOSS, surviving_facts, uds

_COPY = ["model", "origin", "method"]
_METHOD = [*_COPY, "form"]
_NUMBERS = ("uds", "copy", "reference", "difference", "ratio")
SUMMARY_COLUMNS = [
    *(*_METHOD, "layers", "first_layer", "last_layer"),
    *(name + end for name in _NUMBERS for end in ("", "_low", "_high")),
    *("n", "unit"),
    *("facts_tested", "facts_surviving", "surviving_share_low", "surviving_share_high"),
    *("surviving_questions", "outcome", "note"),
]
_WHOLE = ["first_layer", "last_layer", "facts_tested", "facts_surviving"]
# Over which layers fact losses are averaged: one layer, the lower two thirds, or all.
ONE, LOWER_AND_MIDDLE, ALL = "one", "lower_and_middle", "all"
CONCEPT, QUESTION = "concept", "question"


def depth_summary(
    depth: pd.DataFrame, without_reference: Iterable[Mapping[str, str]] = (), seed: int = 0
) -> pd.DataFrame:
    """Mean fact loss by the copy and by the reference, UDS, and which facts survive.

    Fact losses are in nats per token of the fact: means over questions, then concepts. The unit of
    intervals is the concept, or the question where there is a single concept. The difference is
    the fact loss by the reference less that by the copy, on the same questions. The ratio is the
    copy's mean fact loss over the reference's, not clipped; null where the reference's is at most
    LEAST_FACT_LOSS.

    UDS, surviving facts and the outcome stand in the rows of all layers only. A mean cannot say
    that all facts are gone, because facts that lose more than with the reference cancel those that
    are intact. So facts are decided singly first (`analysis.uds.surviving_facts`). Only if none
    survives does the outcome follow from the difference; not from UDS, which is clipped at 1 and so
    is below 1 for models that never knew the facts too.

    Args:
        depth: rows of tables/depth.parquet.
        without_reference: model, origin and method of copies that have no reference model.
        seed: of the bootstrap.

    Returns:
        SUMMARY_COLUMNS, a row per model, origin, method, form and group of layers: each layer
        (ONE), LOWER_AND_MIDDLE and ALL. `outcome`: FACTS_SURVIVE if at least one does; else LESS,
        MORE or NOT_DISTINGUISHABLE, by the interval of the difference; NOT_TESTED without an
        interval or a ratio; and NO_REFERENCE in the one row of a copy without a reference model.
        `note` says why an interval is missing.
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
    table = table.fillna({"surviving_questions": "", "outcome": ""})
    return table.astype(dict.fromkeys(_WHOLE, "Int64"))


def _of_method(depth: pd.DataFrame, seed: int) -> pd.DataFrame:
    """The rows of one model, origin, method and form."""
    unit = CONCEPT if depth["concept"].nunique() > 1 else QUESTION
    losses, scores = _fact_losses(depth, unit), uds(depth)
    groups = _groups_of_layers(losses["copy"].columns.to_numpy())
    copy, reference = (
        _means_of(losses[name].to_numpy(float)[None], groups["chosen"])
        for name in ("copy", "reference")
    )
    points = range(len(groups))
    numbers = {
        "uds": _mean_uds(scores, unit, seed).set_axis([points[-1]]).reindex(points),
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
    facts = _surviving(scores)
    low = table["difference_low"].where(table["ratio"].notna())
    of_means = outcomes_of_means(low, table["difference_high"], LESS, MORE)
    facts["outcome"] = FACTS_SURVIVE if facts["facts_surviving"] else of_means[-1]
    table["note"] = [_note(row) for row in table.to_dict("records")]
    return table.join(pd.DataFrame(facts, index=[points[-1]]))


def _surviving(scores: pd.DataFrame) -> dict[str, Any]:
    """How many facts survive, of how many with a UDS; which; and the interval of their share.

    The interval is exact (Clopper-Pearson): it is that of the share among questions like these.

    Args:
        scores: what `uds` returns of one model, origin, method and form.
    """
    facts = surviving_facts(scores)
    tested, surviving = len(facts), facts[facts["survives"]]
    share = binomtest(len(surviving), tested).proportion_ci(method="exact") if tested else None
    questions = surviving.groupby("concept")["question"].agg(lambda one: ", ".join(map(str, one)))
    return {
        "facts_tested": tested,
        "facts_surviving": len(surviving),
        "surviving_share_low": share.low if share else np.nan,
        "surviving_share_high": share.high if share else np.nan,
        "surviving_questions": "; ".join(f"{key}: {text}" for key, text in questions.items()),
    }


def _fact_losses(depth: pd.DataFrame, unit: str) -> pd.DataFrame:
    """Mean fact losses by unit; columns: (copy | reference, layer)."""
    losses = depth.assign(
        copy=depth["logprob_original"] - depth["logprob_copy"],
        reference=depth["logprob_original"] - depth["logprob_reference"],
    ).dropna(subset=["copy", "reference"])
    return losses.pivot_table(
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
    """How the ratio of two mean fact losses is taken, (draws, 1) each; it needs no other number."""

    def ratio(copy: Array, reference: Array) -> Array:
        is_large = reference[:, 0] > LEAST_FACT_LOSS
        return np.where(is_large, copy[:, 0] / np.where(is_large, reference[:, 0], 1.0), np.nan)

    return ratio


def _mean_uds(scores: pd.DataFrame, unit: str, seed: int) -> pd.DataFrame:
    """UDS over the units, with its interval: one row."""
    of_unit = scores[scores["question"].isna() == (unit == CONCEPT)]
    values = of_unit["uds"].to_numpy(float)[None, :, None]
    return pd.DataFrame(mean_and_interval(values, seed))


def _note(row: Mapping[Any, Any]) -> str:
    """What a reader must know of a row: that it is exploratory, and why it has no interval."""
    is_small = not row["reference"] > LEAST_FACT_LOSS
    notes = [
        "exploratory" if row["layers"] == LOWER_AND_MIDDLE else "",
        too_few(row["n"], row["unit"]) if row["n"] < MIN_CONCEPTS else "",
        f"fact loss by the reference model is at most {LEAST_FACT_LOSS} nats per token"
        if is_small
        else "",
    ]
    return "; ".join(filter(None, notes))
