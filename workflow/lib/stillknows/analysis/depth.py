"""Depth: how much the facts lose to an unlearned model, beside its reference model.

The *fact loss* by a donor after a layer is how many nats per token a fact loses when the donor's
residual stream is patched into the original there. The ratio of the copy's to the reference model's
is 0 where the fact is untouched, 1 where it is as absent as in the reference. UDS (arXiv
2605.24614) is a mean of ratios over layers.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from stillknows.analysis.bootstrap import MIN_CONCEPTS, Array, estimate, mean_and_interval
from stillknows.analysis.collect import COPY_KEYS, LEAST_FACT_LOSS
from stillknows.analysis.comparisons import (
    FACTS_SURVIVE,
    LESS,
    MORE,
    NO_REFERENCE,
    outcomes_of_means,
)
from stillknows.analysis.statistics import window_group
from stillknows.csv_files import no_such_row
from stillknows.parquet_files import DEPTH_SCHEMA, read_table

# A fact survives in a copy if its UDS is at most this: it loses at most half of what it loses with
# the reference model. Exploratory: chosen after results were seen (docs/explanation/depth.md).
SURVIVES_UP_TO = 0.5
# Over which layers fact losses are averaged: one layer, the lower two thirds, or all.
ONE, LOWER_AND_MIDDLE, ALL = "one", "lower_and_middle", "all"
CONCEPT, QUESTION = "concept", "question"

_MODEL = ["model", "origin", "method"]
SUMMARY_COLUMNS = [
    *(*_MODEL, "form", "layers", "first_layer", "last_layer"),
    *(
        name + end
        for name in ("uds", "copy", "reference", "difference", "ratio")
        for end in ("", "_low", "_high")
    ),
    *("n", "unit"),
    *("facts_tested", "facts_surviving", "surviving_share_low", "surviving_share_high"),
    *("surviving_questions", "outcome", "note"),
]
_WHOLE_NUMBERS = ["first_layer", "last_layer", "facts_tested", "facts_surviving"]


# tables/depth.parquet and tables/uds.csv.


def read_depth(path: Path, **only: str) -> pd.DataFrame:
    """The rows of tables/depth.parquet with the given values; a StudyError if there are none."""
    rows: pd.DataFrame = read_table(path, DEPTH_SCHEMA).to_pandas()
    for column, value in only.items():
        rows = rows[rows[column] == value]
    if rows.empty:
        raise no_such_row(path, only)
    return rows.astype(dict.fromkeys(COPY_KEYS, str))


def uds(depth: pd.DataFrame) -> pd.DataFrame:
    """UDS of each question, and their mean per model, method, concept and form (`question` null).

    Per question: the mean over layers of the ratio, clipped to 0..1 and weighted by the fact loss
    by the reference; null where no layer has a ratio, and then not in the mean.
    """
    keys = [*COPY_KEYS, "question"]
    weight = depth["logprob_original"] - depth["logprob_reference"]
    counted = depth.assign(weight=weight, weighted=weight * depth["ratio"].clip(0, 1))
    counted = counted.dropna(subset="ratio")
    sums = counted.groupby(keys, observed=True)[["weighted", "weight"]].sum()
    questions = depth[keys].drop_duplicates().set_index(keys)
    questions["uds"] = sums["weighted"] / sums["weight"]
    means = questions.groupby(level=COPY_KEYS, observed=True)["uds"].mean()
    rows = pd.concat([means.reset_index(), questions.reset_index()], ignore_index=True)
    rows = rows.astype({"question": "Int64"})[[*keys, "uds"]]
    return rows.sort_values(keys, ignore_index=True, na_position="first")


def surviving_facts(scores: pd.DataFrame) -> pd.DataFrame:
    """The rows of `uds` of single questions that have a UDS, and whether their fact `survives`."""
    facts = scores.dropna(subset=["question", "uds"])
    return facts.assign(survives=facts["uds"] <= SURVIVES_UP_TO)


# tables/depth.csv.


def depth_summary(
    depth: pd.DataFrame, without_reference: Iterable[Mapping[str, str]] = (), seed: int = 0
) -> pd.DataFrame:
    """Mean fact loss by the copy and by the reference, UDS, and which facts survive.

    Fact losses are in nats per token of the fact: means over questions, then concepts (the unit of
    intervals; the question where there is a single concept). The difference is the reference's less
    the copy's, on the same questions; the ratio of the means is not clipped, and null where the
    reference's is at most LEAST_FACT_LOSS.

    UDS, surviving facts and the outcome stand in the rows of all layers only. A mean cannot say
    that all facts are gone, so facts are decided singly first (`surviving_facts`). Only if none
    survives does the outcome follow from the difference; not from UDS, which is clipped at 1 and so
    is below 1 for models that never knew the facts too.

    Args:
        without_reference: model, origin and method of copies that have no reference model.

    Returns:
        SUMMARY_COLUMNS, a row per model, origin, method, form and group of layers: each layer
        (ONE), LOWER_AND_MIDDLE and ALL; one of NO_REFERENCE for a copy without a reference.
    """
    keys = [*_MODEL, "form"]
    groups = depth.groupby(keys, observed=True, sort=True)
    parts = [
        _summary(rows, seed).assign(**dict(zip(keys, map(str, key), strict=True)))
        for key, rows in groups
    ]
    measured = {key[:-1] for key, _ in groups}
    names = {tuple(copy[column] for column in _MODEL) for copy in without_reference}
    if absent := sorted(names - measured):
        lone = pd.DataFrame(absent, columns=_MODEL)
        lone = lone.assign(form="", layers=ALL, n=0, unit="", outcome=NO_REFERENCE, note="")
        parts.append(lone)
    table = pd.concat(parts, ignore_index=True).reindex(columns=SUMMARY_COLUMNS)
    table = table.fillna({"surviving_questions": "", "outcome": ""})
    return table.astype(dict.fromkeys(_WHOLE_NUMBERS, "Int64"))


def _summary(depth: pd.DataFrame, seed: int) -> pd.DataFrame:
    unit = CONCEPT if depth["concept"].nunique() > 1 else QUESTION
    losses = depth.assign(
        copy=depth["logprob_original"] - depth["logprob_copy"],
        reference=depth["logprob_original"] - depth["logprob_reference"],
    ).dropna(subset=["copy", "reference"])
    by_unit = losses.pivot_table(
        index=unit, columns="layer", values=["copy", "reference"], observed=True
    )
    layers = by_unit["copy"].columns.to_numpy()
    is_lower = window_group(
        pd.DataFrame({"layer": layers, "last_layer": layers}), "early and middle"
    )
    groups = [(ONE, layers == layer) for layer in layers]
    groups += [(LOWER_AND_MIDDLE, is_lower), (ALL, np.full(len(layers), True))]
    rows = [(name, layers[used][0], layers[used][-1]) for name, used in groups]
    table = pd.DataFrame(rows, columns=["layers", "first_layer", "last_layer"])
    # (1, units, groups of layers)
    copy, reference = (
        np.stack(
            [by_unit[name].to_numpy(float)[None, :, used].mean(axis=-1) for _, used in groups],
            axis=-1,
        )
        for name in ("copy", "reference")
    )
    last, scores = len(groups) - 1, uds(depth)
    of_units = scores.loc[scores["question"].isna() == (unit == CONCEPT), "uds"]
    mean_uds = mean_and_interval(of_units.to_numpy(float)[None, :, None], seed)
    numbers = {
        "uds": pd.DataFrame(mean_uds, index=[last]),
        "copy": pd.DataFrame(mean_and_interval(copy, seed)),
        "reference": pd.DataFrame(mean_and_interval(reference, seed)),
        "difference": pd.DataFrame(mean_and_interval(reference - copy, seed)),
        "ratio": pd.DataFrame(
            vars(estimate(_ratio, copy[..., [group]], reference[..., [group]], seed=seed))
            for group in range(len(groups))
        ),
    }
    for name, number in numbers.items():
        ends = {"value": name, "low": f"{name}_low", "high": f"{name}_high"}
        table = table.join(number[list(ends)].rename(columns=ends))
    table = table.assign(n=numbers["difference"]["n"], unit=unit)
    facts = _survival(scores)
    low = table["difference_low"].where(table["ratio"].notna())
    of_means = outcomes_of_means(low, table["difference_high"], LESS, MORE)
    facts["outcome"] = FACTS_SURVIVE if facts["facts_surviving"] else of_means[-1]
    table["note"] = [_note(row) for row in table.to_dict("records")]
    return table.join(pd.DataFrame(facts, index=[last]))


def _ratio(_copy: Array, _reference: Array, copies: Array, references: Array) -> Array:
    """The ratio of two mean fact losses, (draws, 1) each."""
    is_large = references[:, 0] > LEAST_FACT_LOSS
    return np.where(is_large, copies[:, 0] / np.where(is_large, references[:, 0], 1.0), np.nan)


def _survival(scores: pd.DataFrame) -> dict[str, Any]:
    """How many facts survive, of how many; which; the share and its Clopper-Pearson interval."""
    facts = surviving_facts(scores)
    tested, surviving = len(facts), facts[facts["survives"]]
    share = binomtest(len(surviving), tested).proportion_ci(method="exact") if tested else None
    by_concept = surviving.groupby("concept")["question"]
    questions = by_concept.agg(lambda numbers: ", ".join(map(str, numbers)))
    return {
        "facts_tested": tested,
        "facts_surviving": len(surviving),
        "surviving_share_low": share.low if share else np.nan,
        "surviving_share_high": share.high if share else np.nan,
        "surviving_questions": "; ".join(f"{key}: {text}" for key, text in questions.items()),
    }


def _note(row: Mapping[Any, Any]) -> str:
    """That a row is exploratory, and why it has no interval."""
    notes = ["exploratory"] if row["layers"] == LOWER_AND_MIDDLE else []
    if row["n"] < MIN_CONCEPTS:
        units = row["unit"] + ("" if row["n"] == 1 else "s")
        notes.append(f"{row['n']} {units}: an interval needs {MIN_CONCEPTS}")
    if not row["reference"] > LEAST_FACT_LOSS:
        notes.append(
            f"fact loss by the reference model is at most {LEAST_FACT_LOSS} nats per token"
        )
    return "; ".join(notes)
