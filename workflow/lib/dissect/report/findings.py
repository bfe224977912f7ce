"""Findings first: the paper's statements as they were decided, and three sentences on them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from dissect.report.formatting import counted, listed, number, with_interval
from dissect.report.sources import records
from dissect.results.claims import DOES_NOT, HOLDS, UNDECIDED

_STUDY = ["model", "origin"]
# Verdict -> a mark that needs no colour.
MARKS = {HOLDS: "✓", DOES_NOT: "✗", UNDECIDED: "?"}
# The axis on which a finding is drawn, from no recovery to all of it and a little beyond.
_LEFT, _RIGHT = -0.5, 1.1

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Finding:
    """One statement, decided. Positions are per cent of the axis from _LEFT to _RIGHT."""

    id: str
    statement: str
    verdict: str
    mark: str
    value: str
    criterion: str
    reason: str
    note: str
    positions: Mapping[str, float]


@dataclass(frozen=True)
class Findings:
    """All statements on one model's checkpoints of one origin, by one span."""

    model: str
    origin: str
    span: str
    sentences: list[str]
    rows: list[Finding]


def findings(claims: pd.DataFrame, span: str) -> list[Findings]:
    """Per model and origin, the statements by one span, and those that have no span.

    Args:
        claims: tables/claims.csv.
    """
    of_span = claims[claims["span"].isin([span, ""])]
    return [
        Findings(
            str(model),
            str(origin),
            span,
            sentences(rows),
            [_finding(row) for row in records(rows)],
        )
        for (model, origin), rows in of_span.groupby(_STUDY, sort=True)
    ]


def sentences(claims: pd.DataFrame) -> list[str]:
    """Three sentences on the statements of one model, origin and span.

    Args:
        claims: rows of tables/claims.csv, each id once.
    """
    rows = {str(row["id"]): row for row in records(claims)}
    all_three = [_on_retrieval(rows), _on_layers(rows), _on_all(claims)]
    return [sentence for sentence in all_three if sentence]


def _finding(row: Row) -> Finding:
    return Finding(
        id=row["id"],
        statement=row["statement"],
        verdict=row["verdict"],
        mark=MARKS[row["verdict"]],
        value="no value"
        if pd.isna(row["value"])
        else f"{with_interval(row['value'], row['low'], row['high'])}, n = {row['n']:g}",
        criterion=f"{row['statistic']}. Holds if {row['bound']} {row['mark']:g}",
        reason=row["reason"],
        note=row["note"],
        positions={
            name: _position(row[name])
            for name in ("value", "low", "high", "mark")
            if pd.notna(row[name])
        },
    )


def _position(value: float) -> float:
    share = (value - _LEFT) / (_RIGHT - _LEFT)
    return round(100 * min(max(share, 0.0), 1.0), 2)


def _on_retrieval(rows: Mapping[str, Row]) -> str:
    both, vectors = _number(rows, "both_nearly_all"), _number(rows, "value_vectors_nothing")
    parts = [
        both
        and "with the original's MLP coefficients and attention states put back, KRS reaches "
        f"{both}",
        vectors and f"with its value vectors alone it moves by at most {vectors}",
    ]
    verdict = _verdict(
        rows.get("both_over_value_vectors"),
        "coefficients and attention recover far more than value vectors",
    )
    return _sentence(parts, verdict)


def _on_layers(rows: Mapping[str, Row]) -> str:
    attention = _number(rows, "attention_much")
    coefficients = _number(rows, "coefficients_very_much")
    needed = rows.get("last_layer_needed")
    parts = [
        attention and f"attention states of the middle and late layers reach {attention}",
        coefficients and f"MLP coefficients of the late layers {coefficients}",
    ]
    if needed is not None and pd.notna(needed["value"]):
        difference = number(abs(needed["value"]))
        better = "better" if needed["value"] > 0 else "worse"
        parts.append(
            f"where windows with the last layer do {difference} {better} than those without"
        )
    verdict = _verdict(needed, "the last layer is the coefficients' main contributor")
    return _sentence(parts, verdict)


def _on_all(claims: pd.DataFrame) -> str:
    counts = Counter(claims["verdict"])
    parts = [
        f"{counts[HOLDS]} hold" if counts[HOLDS] != 1 else "1 holds",
        f"{counts[DOES_NOT]} do not" if counts[DOES_NOT] != 1 else "1 does not",
        f"{counts[UNDECIDED]} {'are' if counts[UNDECIDED] != 1 else 'is'} undecided",
    ]
    notes = Counter(claims.loc[claims["verdict"] == UNDECIDED, "note"])
    why = "; ".join(f"{note} ({count})" for note, count in notes.most_common())
    total = counted(len(claims), "statement")
    return f"Of the paper's {total}, {listed(parts)}{': ' + why if why else ''}."


def _number(rows: Mapping[str, Row], name: str) -> str:
    row = rows.get(name)
    if row is None or pd.isna(row["value"]):
        return ""
    return with_interval(row["value"], row["low"], row["high"])


def _verdict(row: Row | None, statement: str) -> str:
    """That a statement holds, does not, or why neither can be said."""
    if row is None:
        return ""
    if row["verdict"] == UNDECIDED:
        return f"whether {statement} is undecided ({row['note']})"
    return f"here it {'holds' if row['verdict'] == HOLDS else 'does not hold'} that {statement}"


def _sentence(numbers: Sequence[str], verdict: str) -> str:
    joined = ": ".join(part for part in (", ".join(filter(None, numbers)), verdict) if part)
    return f"{joined[0].upper()}{joined[1:]}." if joined else ""
