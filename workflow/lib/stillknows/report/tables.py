"""Tables that sort and filter (first rows as HTML, all as compact JSON), and what was run."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from stillknows.report.sources import DASH, Shown, Sources, name_of, number
from stillknows.terms import ORIGINAL, REFERENCE

MANY_ROWS = 8  # from here on a table can be filtered
MOST_ROWS = 5000
_WORD = 42  # characters that are kept on one line
_LABELS = {
    "krs": "KRS",
    "null_krs": "KRS null",
    "bleu": "BLEU",
    "rouge_l": "ROUGE-L",
    "l2": "L2",
    "kl": "KL",
    "low": "low (95 %)",
    "high": "high (95 %)",
}


def study_table(sources: Sources, shown: Shown, name: str) -> dict[str, Any]:
    frame = sources.tables[name]
    total = len(frame)
    if name == "statistics.csv":
        frame = frame[frame["layer"].isna()].drop(columns="layer")
    if name == "disagreements.csv":  # what the scores are made of is in the file only
        frame = frame.filter(regex=r"(?<!_unlearned)(?<!_patched)(?<!_original)$")
    frame = in_fewer_columns(shown.in_order(frame))
    return page_table(Path(name).stem, frame, file=f"tables/{name}", total=total)


def page_table(
    name: str, frame: pd.DataFrame, file: str = "", total: int | None = None
) -> dict[str, Any]:
    """Make a table of the page from one of the study.

    file: where the whole table is, as the page says it. total: how many rows that has.

    Returns:
        id, file, total; rows: how many are embedded; same: what all rows share; columns: per column
        its label, kind (number, word: kept on one line, text or hash), its texts, each once, and
        its codes: per row the number of its text; is_filtered: whether there is a filter.
    """
    kept = frame.head(MOST_ROWS)
    columns = [_column(str(label), kept[label]) for label in kept]
    is_filtered = len(kept) >= MANY_ROWS
    same = {
        column["label"]: column["texts"][0]
        for column in columns
        if is_filtered and column["kind"] != "number" and len(column["texts"]) == 1
    }
    return {
        "id": name,
        "file": file,
        "same": {label: text for label, text in same.items() if text},
        "total": len(frame) if total is None else total,
        "rows": len(kept),
        "columns": [column for column in columns if column["label"] not in same],
        "is_filtered": is_filtered,
    }


def in_fewer_columns(frame: pd.DataFrame) -> pd.DataFrame:
    """The table with concepts by name, layers as first-last in one column, no empty column."""
    kept = frame.dropna(axis="columns", how="all")
    if {"concept", "concept_name"} <= set(kept):
        kept = kept.drop(columns="concept").rename(columns={"concept_name": "concept"})
    if {"first_layer", "last_layer"} <= set(kept):
        ends = zip(kept["first_layer"], kept.pop("last_layer"), strict=True)
        layers = ["" if pd.isna(first) else f"{first:g}{DASH}{last:g}" for first, last in ends]
        name = "layer range" if "layers" in kept else "layers"
        kept = kept.assign(first_layer=layers).rename(columns={"first_layer": name})
    return kept


def compact_json(value: Any) -> str:
    """JSON that can stand inside a script element of a page."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _column(name: str, values: "pd.Series[Any]") -> dict[str, Any]:
    if pd.api.types.is_numeric_dtype(values):
        kind, finite = "number", values.astype(float).where(np.isfinite)
        decimals = _decimals(finite.dropna().abs())
        cells = [number(value, decimals) for value in finite]
    else:
        cells = [name_of(text) for text in values.astype(object).where(values.notna(), "")]
        kind = "text" if max(map(len, cells), default=0) > _WORD else "word"
        kind = "hash" if name.endswith("sha256") else kind
    codes, texts = pd.factorize(np.array(cells, dtype=object))
    label = _LABELS.get(name, name.replace("_", " "))
    return {"label": label, "kind": kind, "texts": texts.tolist(), "codes": codes.tolist()}


def _decimals(sizes: "pd.Series[float]") -> int:
    """The same for a whole column, so that points stand below each other: three digits, usually."""
    if not (sizes % 1).any():
        return 0
    return min(max(2 - math.floor(math.log10(sizes[sizes > 0].median())), 2), 6)


# Where checkpoints come from.
ORIGINS = {
    "published": "published",
    "trained_here": "trained by this workflow",
    "own": "the user's own",
    "reference": "reference model",
    "known_state": "models of known state, to compare with",
}
# Metadata key -> what the page calls it.
_FACTS = {
    "dtype": "number format",
    "device": "device",
    "python": "Python",
    "schema_version": "schema of the sweeps",
}
_IDENTITY = ["source", "revision", "weights_sha256"]


def study_run(sources: Sources) -> dict[str, Any]:
    """What was run, for the page's head and the section on it."""
    coverage = sources.tables["coverage.csv"]
    return {
        "models": sorted(coverage["model"].unique()),
        "methods": sorted(coverage.loc[coverage["origin"] != REFERENCE, "method"].unique()),
        "origins": [ORIGINS[name] for name in sorted(set(sources.scores["origin"]))],
        "done": int((coverage["status"] == "done").sum()),
        "sweeps": len(coverage),
        "facts": facts(sources.metadata),
        "coverage": page_table("coverage", coverage_counts(coverage), "tables/coverage.csv"),
        "missing": page_table("missing", missing(coverage)),
        "checkpoints": page_table("checkpoints", checkpoints(sources.metadata)),
    }


def coverage_counts(coverage: pd.DataFrame) -> pd.DataFrame:
    """Per model and method: concepts, sweeps done and missing, scores that are null."""
    done = coverage["status"] == "done"
    return (
        coverage.assign(done=done, missing=~done)
        .groupby(["model", "method"], as_index=False)
        .agg(
            concepts=("concept", "nunique"),
            done=("done", "sum"),
            missing=("missing", "sum"),
            rows=("rows", "sum"),
            null_krs=("null_krs", "sum"),
        )
    )


def missing(coverage: pd.DataFrame) -> pd.DataFrame:
    keys = ["model", "method", "concept", "reason"]
    groups = coverage[coverage["status"] != "done"].groupby(keys, as_index=False)
    return groups.agg(sweeps=("experiment", "size"))


def facts(metadata: Mapping[str, Any]) -> dict[str, str]:
    """What the sweeps were computed with; where they differ, each value once."""
    sweeps = pd.DataFrame([{**metadata, **own} for own in metadata["sweeps"].values()])
    packages: dict[str, str] = metadata.get("packages", {})
    return {
        label: " | ".join(sorted(set(sweeps[key].dropna())))
        for key, label in _FACTS.items()
        if key in sweeps
    } | packages


def checkpoints(metadata: Mapping[str, Any]) -> pd.DataFrame:
    """Every checkpoint of a sweep: model, method, concept, source, revision, weights_sha256."""
    rows = set()
    for key, own in metadata["sweeps"].items():
        model, method, concept, _ = key.split("/")
        fields = {**metadata, **own}
        for role, checkpoint in (("original", ("", "")), ("unlearned", (method, concept))):
            identity = [fields.get(f"{role}_{name}", "") for name in _IDENTITY]
            rows.add((model, *checkpoint, *identity))
    columns = ["model", "method", "concept", *_IDENTITY]
    table = pd.DataFrame(sorted(rows), columns=columns)  # an original before its copies
    return table.assign(method=table["method"].replace("", ORIGINAL))
