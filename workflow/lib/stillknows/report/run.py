"""What was run: coverage, checkpoints, versions, hashes; from the tables' own metadata."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from stillknows.report.sources import Sources
from stillknows.report.tables import page_table
from stillknows.terms import ORIGINAL, REFERENCE

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
    """The missing sweeps, and why: one row per checkpoint and reason."""
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
