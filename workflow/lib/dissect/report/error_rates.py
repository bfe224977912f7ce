"""How often the primary scores are wrong, from models whose state is known."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from dissect.calibration.table import ALL, ALL_MODELS
from dissect.report.formatting import number, with_interval
from dissect.report.sources import Sources, records

Row = Mapping[str, Any]


def error_rates(sources: Sources) -> dict[str, Any]:
    """What the page says of tables/calibration.csv.

    Returns:
        rounds: how many there are, 0 without the table; rates: a row per primary score and
        treatment, then of all treatments pooled, and of those models whose state is confirmed.
    """
    table = sources.table("calibration.csv")
    if table is None:
        return {"rounds": 0, "rates": pd.DataFrame()}
    is_shown = (table["included"] == ALL_MODELS) | (table["treatment"] == ALL)
    shown = table[table["primary"].astype(bool) & is_shown]
    rates = pd.DataFrame(
        [
            {
                "score": row["definition"],
                "treatment": _name_of(row),
                "AUC": number_of(row, "auc"),
                "false alarms": share_of(row, "false_alarms", "n_never", "false_alarm_rate"),
                "power": share_of(row, "power_count", "n_knows", "power"),
                "threshold": number(row["threshold"]),
            }
            for row in records(shown)
        ]
    )
    return {"rounds": int(table["rounds"].max()), "rates": rates}


def _name_of(row: Row) -> str:
    """What a row counts, for a reader."""
    if row["treatment"] != ALL:
        return str(row["treatment"])
    return "all pooled" if row["included"] == ALL_MODELS else "all pooled, confirmed states only"


def number_of(row: Row, name: str) -> str:
    """A number of the table with its interval."""
    return with_interval(
        {"value": row[name], "low": row[f"{name}_low"], "high": row[f"{name}_high"]}
    )


def share_of(row: Row, count: str, of: str, rate: str) -> str:
    """k of n, and the share with its interval; empty where it is not defined."""
    if pd.isna(row[count]):
        return ""
    return f"{int(row[count])} of {int(row[of])}: {number_of(row, rate)}"
