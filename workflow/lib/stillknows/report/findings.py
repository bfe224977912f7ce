"""What was found: the paper's claims and why some are undecided, depth, answers, baselines."""

from collections import Counter
from string import ascii_lowercase
from typing import Any

import pandas as pd

from stillknows.analysis.behaviour import gap_closed
from stillknows.analysis.claims import MIXED, NOT_SUPPORTED, PRIMARY, SUPPORTED, UNDECIDED
from stillknows.analysis.comparisons import ABOVE, NOT_TESTED
from stillknows.analysis.depth import ALL, LOWER_AND_MIDDLE
from stillknows.analysis.tables import ALL_METHODS, DONOR
from stillknows.figures.style import EXPERIMENTS
from stillknows.report.sources import (
    NONE,
    Shown,
    Sources,
    highest,
    name_of,
    number,
    records,
    with_interval,
)
from stillknows.terms import DENOISING

# Verdict -> a symbol that needs no colour.
SYMBOLS = {SUPPORTED: "✓", NOT_SUPPORTED: "✗", MIXED: "±", UNDECIDED: "?"}
# The axis on which a finding is drawn, from no recovery to all of it and a little beyond.
_LEFT, _RIGHT = -0.5, 1.1


def findings(claims: pd.DataFrame, span: str) -> list[dict[str, Any]]:
    """Per model and origin, the claims (tables/claims.csv) by one span or without a span.

    model; origin; rows: id -> a claim over all methods, as `_row` returns it, with why: the mark of
    its reason, and by_method: the same claim of each method, if there are several; verdicts: how
    many claims have each; mixed: how many claims are mixed for each reason; reasons: why claims are
    undecided -> mark (a, b, ...; "" if there is one reason) and how many claims, most first;
    primary: how many claims are primary; n_needed: the number of concepts that these need.
    """
    result = []
    of_span = claims[claims["span"].isin([span, ""])]
    for (model, origin), group in of_span.groupby(["model", "origin"]):
        is_pooled = group["method"] == ALL_METHODS
        pooled = group[is_pooled]
        several = group.loc[~is_pooled, "method"].nunique() > 1
        by_method = [_row(row) for row in records(group[~is_pooled])] if several else []
        undecided = pooled.loc[pooled["verdict"] == UNDECIDED, "note"]
        # The reason is a part of a sentence that has a colon before it.
        counts = Counter(undecided.str.replace(": ", ", ")).most_common()
        marks = ascii_lowercase if len(counts) > 1 else [""]
        reasons = {why: (mark, n) for mark, (why, n) in zip(marks, counts, strict=False)}
        primary = claims[(claims["model"] == model) & (claims["family"] == PRIMARY)]
        result.append(
            {
                "model": model,
                "origin": origin,
                "rows": {
                    row["id"]: _row(row)
                    | {"why": reasons.get(row["note"].replace(": ", ", "), ("",))[0]}
                    | {"by_method": [r for r in by_method if r["id"] == row["id"]]}
                    for row in records(pooled)
                },
                "verdicts": Counter(pooled["verdict"]),
                "mixed": Counter(pooled.loc[pooled["verdict"] == MIXED, "note"]).most_common(),
                "reasons": reasons,
                "primary": primary["id"].nunique(),
                "n_needed": primary["n_needed"].max(),
            }
        )
    return result


def _row(row: dict[str, Any]) -> dict[str, Any]:
    """A claim with its symbol and number, and positions: per cent of the axis, _LEFT to _RIGHT."""
    numbers = {name: row[name] for name in ("value", "low", "high", "threshold")}
    return row | {
        "symbol": SYMBOLS[row["verdict"]],
        "number": with_interval(row) if pd.notna(row["value"]) else "",
        "positions": {
            name: round(100 * min(max((value - _LEFT) / (_RIGHT - _LEFT), 0.0), 1.0), 2)
            for name, value in numbers.items()
            if pd.notna(value)
        },
    }


def control_baselines(curves: pd.DataFrame, shown: Shown) -> pd.DataFrame:
    """Per model and experiment, the highest score by whose states were patched, if by several."""
    means = shown.leading(curves[curves["method"] == ALL_METHODS])
    keys = ["model", "origin", "experiment"]
    best = highest(means, "mean", [*keys, "donor"])
    best["experiment"] = pd.Categorical(best["experiment"], list(EXPERIMENTS))
    donors = {name: name.replace("_", " ") for name in sorted(set(best["donor"]) - {DONOR})}
    if not donors:
        return pd.DataFrame()
    table = best.pivot(index=keys, columns="donor", values="where").fillna(NONE).reset_index()
    table["experiment"] = table["experiment"].map(name_of)
    heads = {"model": "model", "experiment": "patched", DONOR: "the original's", **donors}
    return table.rename(columns=heads)[list(heads.values())]


def recovered_answers(sources: Sources, curves: pd.DataFrame, shown: Shown) -> pd.DataFrame:
    """Per patch under which models answered: its KRS, and how much of the answers it recovered."""
    behaviour = sources.table("behaviour.csv")
    if behaviour is None or (patches := gap_closed(behaviour)).empty:
        return pd.DataFrame()
    keys = ["model", "origin", "experiment", "first_layer", "last_layer"]
    selection = {"method": ALL_METHODS, "donor": DONOR, "span": shown.spans[0], "score": "krs"}
    means = curves[(curves[[*selection]] == pd.Series(selection)).all(axis="columns")]
    rows = patches.merge(means.drop_duplicates(keys)[[*keys, "mean"]], on=keys, how="left")
    rows = rows.sort_values(["model", "origin", "share"], ascending=[True, True, False])
    layers = rows[["first_layer", "last_layer"]].astype(str)
    return pd.DataFrame(
        {
            "model": rows["model"],
            "patched": rows["experiment"].map(name_of),
            "layers": layers["first_layer"] + " to " + layers["last_layer"],
            "KRS": rows["mean"].map(number),
            "recovered share": [f"{number(100 * share, 0)} %" for share in rows["share"]],
            "ROUGE-L": rows["unpatched"].map(number) + " to " + rows["patched"].map(number),
        }
    )


_COPY = ["model", "origin", "method", "form"]


def unlearned_models(depth: pd.DataFrame | None) -> list[dict[str, Any]]:
    """Per unlearned model `name` and row over all layers; lower_...: lower and middle ones."""
    if depth is None:
        return []
    lower = depth[depth["layers"] == LOWER_AND_MIDDLE].set_index(_COPY).add_prefix("lower_")
    rows = depth[depth["layers"] == ALL].join(lower, on=_COPY)
    values = {name: set(rows[name]) - {""} for name in _COPY}  # a copy without reference: no form
    telling = [name for name in _COPY if name == "method" or len(values[name]) > 1]
    return [
        row | {"name": ", ".join(str(row[name]) for name in telling if row[name])}
        for row in records(rows)
    ]


def highest_scores(reference: pd.DataFrame | None, shown: Shown) -> list[dict[str, Any]]:
    """Per unlearned model and component, the row of tables/reference.csv where KRS is highest."""
    if reference is None:
        return []
    rows = shown.leading(reference)
    rows = rows[(rows["method"] != ALL_METHODS) & rows["experiment"].isin(DENOISING)]
    keys = ["model", "origin", "method", "experiment"]
    rows = rows.assign(above=rows["outcome"] == ABOVE, tested=rows["outcome"] != NOT_TESTED)
    rows = rows.join(rows.groupby(keys)[["above", "tested"]].sum().add_prefix("layers_"), on=keys)
    rows["experiment"] = pd.Categorical(rows["experiment"], DENOISING)
    return records(highest(rows, "mean", keys))
