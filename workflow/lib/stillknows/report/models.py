"""Models side by side: what is known of each, what its scores say, and how often they are wrong."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from stillknows.analysis.calibration.scores import PRIMARY, SCORES, ScoreSpec
from stillknows.analysis.calibration.table import ALL, ALL_MODELS, GROUP_NAMES, INTACT, UNLEARNED
from stillknows.answers.recall_table import recall_scores
from stillknows.report.answers import answer_table
from stillknows.report.error_rates import number_of
from stillknows.report.formatting import NONE, number
from stillknows.report.sources import Sources, records
from stillknows.terms import NEVER, ORIGINAL, REFERENCE
from stillknows.terms import NONE as UNTREATED

# The scores of the table, in its order, and their names for a reader.
HEADS = {
    "recalled": "recall: share of the facts in free answers",
    "krs_mlp_coefficients_and_attention_highest": "highest KRS, coefficients and attention",
    "uds": "UDS",
    "relearned": "recall after relearning half of the facts",
}
_DIRECTION = {1: "higher: taught", -1: "lower: taught"}
ALARMS = {True: "● taught", False: "○ no alarm"}
_SPECS = {spec.name: spec for spec in SCORES}

Row = Mapping[str, Any]


def model_tables(sources: Sources) -> list[dict[str, Any]]:
    """A table per model of a study whose models' states are known.

    Returns:
        model; rounds: how many the error rates are from, 0 if they are not known; heads: name and
        direction of each score; rows, those of the original and the reference first; rates: what
        each error rate is -> a cell per score; notes: mark -> why a state is not confirmed;
        answers, as `answer_table` returns them.
    """
    rates = _rates(sources.table("calibration.csv"))
    return [_model_table(sources, model, rates) for model in sources.rounds]


def _rates(calibration: pd.DataFrame | None) -> dict[str, Row]:
    """Primary score -> its row of calibration.csv over all treatments and rounds.

    Under INTACT and UNLEARNED it has their rows; None where there are no such models. Scores whose
    rates are not known are left out.
    """
    if calibration is None:
        return {}
    chosen = calibration[calibration["score"].isin(PRIMARY)]
    chosen = chosen[chosen["included"] == ALL_MODELS].dropna(subset=["false_alarms", "power_count"])
    rows = {(row["score"], row["treatment"]): row for row in records(chosen)}
    return {
        score: row | {group: rows.get((score, group)) for group in (INTACT, UNLEARNED)}
        for (score, treatment), row in rows.items()
        if treatment == ALL
    }


def _model_table(sources: Sources, model: str, rates: Mapping[str, Row]) -> dict[str, Any]:
    specs = [_SPECS[name] for name in HEADS]
    notes: dict[str, str] = {}
    unscored = _unscored(sources, model)
    scored = records(sources.rounds[model])
    recall = sources.recall.get(model)
    names = unscored | {row["method"]: row["method"] for row in scored}
    return {
        "model": model,
        "rounds": max((int(row["rounds"]) for row in rates.values()), default=0),
        "heads": [{"name": HEADS[one.name], "direction": _DIRECTION[one.sign]} for one in specs],
        "rows": [
            *_unscored_rows(unscored, recall, specs),
            *(_row(row, specs, rates, notes) for row in scored),
        ],
        "rates": _rate_rows(specs, rates),
        "notes": notes,
        "answers": answer_table(sources, model, names),
    }


def _unscored(sources: Sources, model: str) -> dict[str, str]:
    """Method -> name, of the original and the reference: the scores are made of these two."""
    references = {
        method: method if method == REFERENCE else f"{method} ({REFERENCE})"
        for method in sources.references(model)
    }
    return {ORIGINAL: ORIGINAL} | references


def _unscored_rows(
    names: Mapping[str, str], recall: pd.DataFrame | None, specs: Sequence[ScoreSpec]
) -> list[dict[str, Any]]:
    """The cells of the original and the reference: their recall, and no alarms."""
    shares = {} if recall is None else recall_scores(recall)
    scores = pd.DataFrame(shares, index=[*names], columns=[*HEADS], dtype=float)
    return [
        {
            "name": name,
            "treatment": UNTREATED,
            "learned": "yes" if method == ORIGINAL else "no",
            "confirmed": NONE,
            "cells": [_cell(row[spec.name], spec, None) for spec in specs],
            "is_scored": False,
        }
        for (method, name), row in zip(names.items(), records(scores), strict=True)
    ]


def _row(
    row: Row, specs: Sequence[ScoreSpec], rates: Mapping[str, Row], notes: dict[str, str]
) -> dict[str, Any]:
    """A model's cells; a state that is not confirmed adds a note."""
    confirmed = "yes"
    if not row["as_intended"]:
        mark = str(len(notes) + 1)
        notes[mark] = row["why_not"]
        confirmed = f"no ({mark})"
    return {
        "name": row["method"],
        "treatment": row["treatment"],
        "learned": "no" if row["state"] == NEVER else "yes",
        "confirmed": confirmed,
        "cells": [_cell(row[spec.name], spec, rates.get(spec.name)) for spec in specs],
        "is_scored": True,
    }


def _cell(value: float, spec: ScoreSpec, rate: Row | None) -> dict[str, str]:
    """A score, and what its threshold says of it, where there is one and its rates are known."""
    if rate is None or pd.isna(value) or pd.isna(rate["threshold"]):
        return {"value": number(value), "alarm": ""}
    return {
        "value": number(value),
        "alarm": ALARMS[bool(spec.sign * (value - rate["threshold"]) > 0)],
    }


def _rate_rows(specs: Sequence[ScoreSpec], rates: Mapping[str, Row]) -> dict[str, list[str]]:
    """What each error rate is -> a cell per score; a dash where it is not known."""
    cells: dict[str, Callable[[Row], str]] = {
        "threshold": lambda row: number(row["threshold"]),
        "rounds": lambda row: f"{row['rounds']:g}",
        "AUC": lambda row: number_of(row, "auc"),
        "false alarms": lambda row: f"{row['false_alarms']:g} of {row['n_never']:g}",
        f"power, {GROUP_NAMES[INTACT]}": lambda row: _power(row[INTACT]),
        f"power, {GROUP_NAMES[UNLEARNED]}": lambda row: _power(row[UNLEARNED]),
    }
    return {
        label: [cell(rates[one.name]) if one.name in rates else NONE for one in specs]
        for label, cell in cells.items()
    }


def _power(row: Row | None) -> str:
    """k of n taught models."""
    return NONE if row is None else f"{row['power_count']:g} of {row['n_taught']:g}"
