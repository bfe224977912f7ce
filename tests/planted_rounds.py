"""Rounds of models with planted scores, for the tests of error rates, their table and figure."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from stillknows.analysis.calibration.scores import SCORES, STATES

TREATMENTS = ("placebo", "refuse", "hide")

Value = Callable[[int, str, str], float]  # of a round, state and treatment


def planted_rounds(
    rounds: int, treatments: Sequence[str] = TREATMENTS, **scores: Value
) -> pd.DataFrame:
    """What `read_rounds` returns of so many rounds, with a taught and a never-taught model per
    treatment, but for scores that are not named."""
    rows = [
        {
            "round": str(number),
            "model": "tiny",
            "method": f"{treatment}_{state}",
            "state": state,
            "treatment": treatment,
            "as_intended": True,
            "why_not": "",
            **{name: value(number, state, treatment) for name, value in scores.items()},
            "settings": "def",
            "code": "abc",
            "versions": "torch 2",
            "lacks": " ".join(spec.name for spec in SCORES if spec.name not in scores),
        }
        for number in range(rounds)
        for treatment in treatments
        for state in STATES
    ]
    return pd.DataFrame(rows)


def steady(taught: float, never: float, noise: float = 0.0, seed: int = 0) -> Value:
    """A score around one value per state, whatever the treatment."""
    rng = np.random.default_rng(seed)
    return lambda number, state, treatment: float(
        {"taught": taught, "never": never}[state] + noise * rng.normal()
    )


def row_of(table: pd.DataFrame, **only: Any) -> "pd.Series[Any]":
    """The one row with the given values."""
    for column, value in only.items():
        table = table[table[column] == value]
    assert len(table) == 1
    return table.iloc[0]
