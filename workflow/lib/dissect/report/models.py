"""Models side by side: what is known of each, what its scores say, and how often they are wrong."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from dissect.calibration.scores import PRIMARY, SCORES, ScoreSpec
from dissect.calibration.table import ALL, ALL_ROUNDS
from dissect.report.error_rates import number_of
from dissect.report.formatting import NONE, number
from dissect.report.sources import records
from dissect.terms import KNOWS

# The scores of the table, in its order, and what a reader calls them.
HEADS = {
    "recalled": "recall: share of the facts in free answers",
    "krs_mlp_coefficients_and_attention_highest": "highest KRS, coefficients and attention",
    "uds": "UDS",
    "relearned": "recall after relearning half of the facts",
}
_DIRECTION = {1: "higher: knows", -1: "lower: knows"}
CALLS = {True: "● knows", False: "○ no call"}
_SPECS = {spec.name: spec for spec in SCORES}

Row = Mapping[str, Any]


def model_tables(
    rounds: Mapping[str, pd.DataFrame], calibration: pd.DataFrame | None
) -> list[dict[str, Any]]:
    """A table per model of a study whose models' states are known.

    Args:
        rounds: model -> its file of <results>/rounds.
        calibration: tables/calibration.csv, if there is one.

    Returns:
        model; rounds: how many the error rates are from, 0 if they are not known; heads: name and
        direction of each score; rows; rates: what each error rate is -> a cell per score; notes:
        mark -> why a state is not confirmed.
    """
    rates = _rates(calibration)
    return [_model_table(model, frame, rates) for model, frame in rounds.items()]


def _rates(calibration: pd.DataFrame | None) -> dict[str, Row]:
    """Primary score -> its row of calibration.csv over all treatments and rounds.

    Those whose rates are not known are left out.
    """
    if calibration is None:
        return {}
    pooled = (calibration["treatment"] == ALL) & (calibration["included"] == ALL_ROUNDS)
    chosen = calibration[pooled & calibration["score"].isin(PRIMARY)]
    with_rates = chosen.dropna(subset=["false_alarms", "power_count"])
    return {str(row["score"]): row for row in records(with_rates)}


def _model_table(model: str, frame: pd.DataFrame, rates: Mapping[str, Row]) -> dict[str, Any]:
    specs = [_SPECS[name] for name in HEADS]
    notes: dict[str, str] = {}
    return {
        "model": model,
        "rounds": max((int(row["rounds"]) for row in rates.values()), default=0),
        "heads": [{"name": HEADS[one.name], "direction": _DIRECTION[one.sign]} for one in specs],
        "rows": [_row(row, specs, rates, notes) for row in records(frame)],
        "rates": _rate_rows(specs, rates),
        "notes": notes,
    }


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
        "learned": "yes" if row["state"] == KNOWS else "no",
        "confirmed": confirmed,
        "cells": [_cell(row[spec.name], spec, rates.get(spec.name)) for spec in specs],
    }


def _cell(value: float, spec: ScoreSpec, rate: Row | None) -> dict[str, str]:
    """A score, and what its threshold says of it, where there is one and its rates are known."""
    if rate is None or pd.isna(value) or pd.isna(rate["threshold"]):
        return {"value": number(value), "call": ""}
    return {
        "value": number(value),
        "call": CALLS[bool(spec.sign * (value - rate["threshold"]) > 0)],
    }


def _rate_rows(specs: Sequence[ScoreSpec], rates: Mapping[str, Row]) -> dict[str, list[str]]:
    """What each error rate is -> a cell per score; a dash where it is not known."""
    cells: dict[str, Callable[[Row], str]] = {
        "threshold": lambda row: number(row["threshold"]),
        "rounds": lambda row: f"{row['rounds']:g}",
        "AUC": lambda row: number_of(row, "auc"),
        "false alarms": lambda row: f"{row['false_alarms']:g} of {row['n_never']:g}",
        "power": lambda row: f"{row['power_count']:g} of {row['n_knows']:g}",
    }
    return {
        label: [cell(rates[one.name]) if one.name in rates else NONE for one in specs]
        for label, cell in cells.items()
    }
