"""The paper's claims: what was found, in numbers, and which of them are undecided, and why."""

from collections import Counter
from collections.abc import Mapping
from string import ascii_lowercase
from typing import Any

import pandas as pd

from stillknows.analysis.claims import (
    MIXED,
    NOT_SUPPORTED,
    OTHER_SCORES,
    PRIMARY,
    SUPPORTED,
    UNDECIDED,
)
from stillknows.analysis.curve_groups import ALL_METHODS
from stillknows.analysis.scores import KL_RECOVERED, LOGPROB_RECOVERED
from stillknows.report.formatting import counted, listed, number, with_interval
from stillknows.report.sources import records

# Verdict -> a symbol that needs no colour.
SYMBOLS = {SUPPORTED: "✓", NOT_SUPPORTED: "✗", MIXED: "±", UNDECIDED: "?"}
_SHORT = {KL_RECOVERED: "KL", LOGPROB_RECOVERED: "log-probability"}
# The axis on which a finding is drawn, from no recovery to all of it and a little beyond.
_LEFT, _RIGHT = -0.5, 1.1

Row = Mapping[str, Any]


def findings(claims: pd.DataFrame, span: str) -> list[dict[str, Any]]:
    """Per model and origin, the claims by one span, and those that have no span.

    Args:
        claims: tables/claims.csv.

    Returns:
        model, origin, sentences, undecided (`undecided`), power (`_power`) and rows: one per claim
        over all methods, the table's columns, those of `_as_shown`, and why, the mark of the reason
        if the claim is undecided; and by_method, the same of each method, if there are several.
    """
    of_span = claims[claims["span"].isin([span, ""])]
    of_models = []
    for (model, origin), rows in of_span.groupby(["model", "origin"], sort=True):
        pooled = rows[rows["method"] == ALL_METHODS]
        open_claims = undecided(pooled)
        marks = {one["reason"]: one["mark"] for one in open_claims["reasons"]}
        several = rows.loc[rows["method"] != ALL_METHODS, "method"].nunique() > 1
        shown = [
            {
                **row,
                **_as_shown(row),
                "why": marks[_reason(row)] if row["verdict"] == UNDECIDED else "",
                "by_method": [
                    {**one, **_as_shown(one)}
                    for one in records(rows[rows["id"] == row["id"]])
                    if several and one["method"] != ALL_METHODS
                ],
            }
            for row in records(pooled)
        ]
        of_models.append(
            {
                "model": model,
                "origin": origin,
                "sentences": sentences(pooled),
                "undecided": open_claims,
                "power": _power(claims[claims["model"] == model]),
                "rows": shown,
            }
        )
    return of_models


def _power(claims: pd.DataFrame) -> str:
    """How many concepts a decision needs, in words; "" without primary claims."""
    primary = claims[claims["family"] == PRIMARY].drop_duplicates("id")
    if primary.empty:
        return ""
    needed = primary["n_needed"].iloc[0]
    return (
        f"With Holm's correction over the {len(primary)} primary claims, a decision needs "
        f"at least n = {needed:g} concepts that decide, and one more that chooses the windows: the "
        f"smallest possible p, 2 / 2^n, has to be at most 0.05 / {len(primary)}. Primary rows are "
        "over all methods and the answer span. All other rows are exploratory: other claims, other "
        "spans, single methods. Each method and span is a family of its own."
    )


def _as_shown(row: Row) -> dict[str, Any]:
    """What the page says of a claim; positions are per cent of the axis from _LEFT to _RIGHT."""
    numbers = {
        name: row[name] for name in ("value", "low", "high", "threshold") if pd.notna(row[name])
    }
    has_value = "value" in numbers
    others = [f"{_SHORT[name]} {number(row[name])}" for name in OTHER_SCORES]
    return {
        "symbol": SYMBOLS[row["verdict"]],
        "test": f"p = {row['p']:.2g}, adjusted {row['p_holm']:.2g}; {', '.join(others)}"
        if pd.notna(row["p"])
        else "",
        "value": f"{with_interval(row)}, n = {row['n']:g}" if has_value else "no value",
        "criterion": f"{row['statistic']}. Supported if {row['bound']} {row['threshold']:g}",
        "positions": {
            name: round(100 * min(max((value - _LEFT) / (_RIGHT - _LEFT), 0.0), 1.0), 2)
            for name, value in numbers.items()
        },
    }


def undecided(claims: pd.DataFrame) -> dict[str, Any]:
    """Which claims of one model, origin and span are undecided.

    Args:
        claims: rows of tables/claims.csv, each id once.

    Returns:
        count: how many, in words, "" if there is none; reasons: per reason its mark (a, b, ...; ""
        for a single one), the reason and how many claims it is the reason of, most first.
    """
    reasons = Counter(_reason(row) for row in records(claims) if row["verdict"] == UNDECIDED)
    count, total = reasons.total(), counted(len(claims), "claim")
    marks = ascii_lowercase if len(reasons) > 1 else [""]
    return {
        "count": f"{count} of {total} {'is' if count == 1 else 'are'} undecided" if count else "",
        "reasons": [
            {"mark": mark, "reason": reason, "claims": number_of_claims}
            for mark, (reason, number_of_claims) in zip(marks, reasons.most_common(), strict=False)
        ],
    }


def _reason(row: Row) -> str:
    """Why a claim is undecided, as a part of a sentence that has a colon before it."""
    return str(row["note"]).replace(": ", ", ")


def sentences(claims: pd.DataFrame) -> list[str]:
    """What was found of the claims of one model, origin and span: numbers, and what they decide.

    Args:
        claims: rows of tables/claims.csv, each id once.
    """
    rows = {row["id"]: row for row in records(claims)}
    on_retrieval = _sentence(
        rows,
        {
            "both_nearly_all": "with the original's MLP coefficients and attention output "
            "patched, KRS reaches {}",
            "value_vectors_nothing": "with the original's value vectors alone, KRS moves by at "
            "most {}",
        },
        "both_over_value_vectors",
        "coefficients and attention recover far more than value vectors",
    )
    on_layers = _sentence(
        rows,
        {
            "attention_much": "with attention output of the middle and late layers, KRS reaches {}",
            "coefficients_very_much": "with MLP coefficients of the late layers, {}",
            "last_layer_needed": "windows with the last layer do {} than those without",
        },
        "last_layer_needed",
        "windows with the last layer recover more than those without",
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
    joined = ": ".join(filter(None, ("; ".join(parts), verdict)))
    return f"{joined[0].upper()}{joined[1:]}." if joined else ""


def _number(row: Row) -> str:
    if row["id"] != "last_layer_needed":
        return with_interval(row)
    # A difference.
    return f"{number(abs(row['value']))} {'better' if row['value'] > 0 else 'worse'}"


def _verdict(row: Row, claim: str) -> str:
    """Whether a claim is supported, not supported or mixed; "" if it is undecided."""
    if row["verdict"] == UNDECIDED:
        return ""
    if row["verdict"] == MIXED:
        return f"the claim that {claim} is mixed ({row['note']})"
    return f"the claim that {claim} is {row['verdict']} here"


def _on_all(claims: pd.DataFrame) -> str:
    counts = Counter(claims["verdict"])
    parts = [
        counted(counts[SUPPORTED], "is supported", "are supported"),
        counted(counts[NOT_SUPPORTED], "is not supported", "are not supported"),
        counted(counts[MIXED], "is mixed", "are mixed"),
    ]
    total = counted(len(claims), "claim")
    if counts[UNDECIDED] == len(claims):
        return f"None of the paper's {total} could be decided."
    notes = Counter(claims.loc[claims["verdict"] == MIXED, "note"])
    why = "; ".join(f"{note} ({count})" for note, count in notes.most_common())
    return f"Of the paper's {total}, {listed(parts)}{': ' + why if why else ''}."
