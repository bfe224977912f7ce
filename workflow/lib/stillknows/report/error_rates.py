"""How often the primary scores and the baselines are wrong, from models whose state is known."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from stillknows.analysis.calibration.scores import BASELINES, OUTCOME, PRIMARY
from stillknows.analysis.calibration.table import ALL, ALL_MODELS, GROUP_NAMES
from stillknows.report.formatting import number, with_interval
from stillknows.report.sources import Sources, records

SHOWN = (*PRIMARY, *BASELINES, OUTCOME)

Row = Mapping[str, Any]


def error_rates(sources: Sources) -> dict[str, Any]:
    """What the page says of tables/calibration.csv.

    Returns:
        rounds: how many there are, 0 without the table; rates: a row per score of SHOWN that the
        rounds have and treatment, then per group of treatments, and of those models whose state is
        confirmed; bound: how often a new round has a false alarm, at most, in words.
    """
    table = sources.table("calibration.csv")
    if table is None:
        return {"rounds": 0, "rates": pd.DataFrame(), "bound": ""}
    is_shown = (table["included"] == ALL_MODELS) | (table["treatment"] == ALL)
    shown = table[table["score"].isin(SHOWN) & is_shown & (table["rounds"] > 0)]
    rates = pd.DataFrame(
        [
            {
                "score": row["definition"],
                "treatment": _name_of(row),
                "AUC": number_of(row, "auc"),
                "false alarms": _share_of(row, "false_alarms", "n_never"),
                "rounds with a false alarm": _share_of(row, "false_alarm_rounds", "rounds"),
                "power": power_of(row),
                "threshold": number(row["threshold"]),
            }
            for row in records(shown)
        ]
    )
    bounds = shown.loc[shown["score"].isin(PRIMARY), "false_alarm_bound"].dropna()
    bound = "" if bounds.empty else f"1 in {round(1 / bounds.max())}"
    return {"rounds": int(table["rounds"].max()), "rates": rates, "bound": bound}


def _name_of(row: Row) -> str:
    """What a row counts, for a reader."""
    name = GROUP_NAMES.get(row["treatment"], str(row["treatment"]))
    return name if row["included"] == ALL_MODELS else f"{name}, confirmed states only"


def number_of(row: Row, name: str) -> str:
    """A number of the table with its interval."""
    return with_interval(
        {"value": row[name], "low": row[f"{name}_low"], "high": row[f"{name}_high"]}
    )


def power_of(row: Row) -> str:
    """k of n taught models, and their share with its interval; empty where it is not defined."""
    count = _share_of(row, "power_count", "n_taught")
    return f"{count}: {number_of(row, 'power')}" if count else ""


def _share_of(row: Row, count: str, of: str) -> str:
    """k of n; empty where it is not defined."""
    return "" if pd.isna(row[count]) else f"{int(row[count])} of {int(row[of])}"
