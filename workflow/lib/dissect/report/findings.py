"""Findings first: the paper's claims as they were decided, and three sentences on them."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import pandas as pd

from dissect.analysis.claims import HOLDS, NOT_SUPPORTED, UNDECIDED
from dissect.report.formatting import counted, listed, number, with_interval
from dissect.report.sources import records

# Verdict -> a symbol that needs no colour.
SYMBOLS = {HOLDS: "✓", NOT_SUPPORTED: "✗", UNDECIDED: "?"}
# The axis on which a finding is drawn, from no recovery to all of it and a little beyond.
_LEFT, _RIGHT = -0.5, 1.1

Row = Mapping[str, Any]


def findings(claims: pd.DataFrame, span: str) -> list[dict[str, Any]]:
    """Per model and origin, the claims by one span, and those that have no span.

    Args:
        claims: tables/claims.csv.

    Returns:
        model, origin, sentences, and rows: one per claim, the table's columns and those of
        `_as_shown`.
    """
    of_span = claims[claims["span"].isin([span, ""])]
    return [
        {
            "model": model,
            "origin": origin,
            "sentences": sentences(rows),
            "rows": [{**row, **_as_shown(row)} for row in records(rows)],
        }
        for (model, origin), rows in of_span.groupby(["model", "origin"], sort=True)
    ]


def _as_shown(row: Row) -> dict[str, Any]:
    """What the page says of a claim; positions are per cent of the axis from _LEFT to _RIGHT."""
    numbers = {
        name: row[name] for name in ("value", "low", "high", "threshold") if pd.notna(row[name])
    }
    has_value = "value" in numbers
    return {
        "symbol": SYMBOLS[row["verdict"]],
        "value": f"{with_interval(row)}, n = {row['n']:g}" if has_value else "no value",
        "criterion": f"{row['statistic']}. Holds if {row['bound']} {row['threshold']:g}",
        "positions": {
            name: round(100 * min(max((value - _LEFT) / (_RIGHT - _LEFT), 0.0), 1.0), 2)
            for name, value in numbers.items()
        },
    }


def sentences(claims: pd.DataFrame) -> list[str]:
    """Three sentences on the claims of one model, origin and span.

    Args:
        claims: rows of tables/claims.csv, each id once.
    """
    rows = {row["id"]: row for row in records(claims)}
    on_retrieval = _sentence(
        rows,
        {
            "both_nearly_all": "with the original's MLP coefficients and attention states put "
            "back, KRS reaches {}",
            "value_vectors_nothing": "with its value vectors alone it moves by at most {}",
        },
        "both_over_value_vectors",
        "coefficients and attention recover far more than value vectors",
    )
    on_layers = _sentence(
        rows,
        {
            "attention_much": "attention states of the middle and late layers reach {}",
            "coefficients_very_much": "MLP coefficients of the late layers {}",
            "last_layer_needed": "where windows with the last layer do {} than those without",
        },
        "last_layer_needed",
        "the last layer is the coefficients' main contributor",
    )
    return [*filter(None, (on_retrieval, on_layers)), _on_all(claims)]


def _sentence(
    rows: Mapping[str, Row], numbers: Mapping[str, str], deciding: str, claim: str
) -> str:
    """The numbers of some claims, and what another one decides; "" where there is none of them.

    Args:
        rows: id of a claim -> its row.
        numbers: id of a claim -> what its number says.
        deciding: id of the claim that decides the claim.
    """
    parts = [
        words.format(_number(rows[name]))
        for name, words in numbers.items()
        if name in rows and pd.notna(rows[name]["value"])
    ]
    verdict = _verdict(rows[deciding], claim) if deciding in rows else ""
    joined = ": ".join(filter(None, (", ".join(parts), verdict)))
    return f"{joined[0].upper()}{joined[1:]}." if joined else ""


def _number(row: Row) -> str:
    if row["id"] != "last_layer_needed":
        return with_interval(row)
    # A difference.
    return f"{number(abs(row['value']))} {'better' if row['value'] > 0 else 'worse'}"


def _verdict(row: Row, claim: str) -> str:
    """That a claim holds, does not, or why neither can be said."""
    if row["verdict"] == UNDECIDED:
        return f"whether {claim} is undecided ({row['note']})"
    return f"here it {'holds' if row['verdict'] == HOLDS else 'does not hold'} that {claim}"


def _on_all(claims: pd.DataFrame) -> str:
    counts = Counter(claims["verdict"])
    parts = [
        counted(counts[HOLDS], "holds", "hold"),
        counted(counts[NOT_SUPPORTED], "is not supported", "are not supported"),
        counted(counts[UNDECIDED], "is undecided", "are undecided"),
    ]
    notes = Counter(claims.loc[claims["verdict"] == UNDECIDED, "note"])
    why = "; ".join(f"{note} ({count})" for note, count in notes.most_common())
    total = counted(len(claims), "claim")
    return f"Of the paper's {total}, {listed(parts)}{': ' + why if why else ''}."
