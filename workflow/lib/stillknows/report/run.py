"""What was run: coverage, checkpoints, versions, hashes; from the tables' own metadata."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

CHECKPOINT_COLUMNS = ["model", "method", "concept", "source", "revision", "weights_sha256"]
# Where checkpoints come from.
ORIGINS = {
    "published": "published",
    "trained_here": "trained by this workflow",
    "own": "the user's own",
    "reference": "reference model",
    "known_state": "models of known state, to compare with",
}
# Metadata key -> what the page calls it. The rest has a place of its own, or none is needed.
_FACTS = {
    "dtype": "number format",
    "device": "device",
    "python": "Python",
    "schema_version": "schema of the sweeps",
}


def coverage_counts(coverage: pd.DataFrame) -> pd.DataFrame:
    """Per model and method: concepts, sweeps done and missing, scores that are null."""
    done = coverage["status"] == "done"
    flags = coverage.assign(done=done, missing=~done)
    return flags.groupby(["model", "method"], as_index=False, sort=True).agg(
        concepts=("concept", "nunique"),
        done=("done", "sum"),
        missing=("missing", "sum"),
        rows=("rows", "sum"),
        null_krs=("null_krs", "sum"),
    )


def missing(coverage: pd.DataFrame) -> pd.DataFrame:
    """The sweeps that are not there, and why: one row per checkpoint and reason."""
    absent = coverage[coverage["status"] != "done"]
    keys = ["model", "method", "concept", "reason"]
    return absent.groupby(keys, as_index=False, sort=True).agg(sweeps=("experiment", "size"))


def facts(metadata: Mapping[str, Any]) -> dict[str, str]:
    """What the sweeps were computed with; where they differ, each value once."""
    sweeps = [{**metadata, **own} for own in metadata["sweeps"].values()]
    by_label = {}
    for key, label in _FACTS.items():
        values = sorted({str(sweep[key]) for sweep in sweeps if key in sweep})
        if values:
            by_label[label] = " | ".join(values)
    return by_label | {name: str(version) for name, version in metadata.get("packages", {}).items()}


def checkpoints(metadata: Mapping[str, Any]) -> pd.DataFrame:
    """Every checkpoint that a sweep came from: CHECKPOINT_COLUMNS."""
    rows = set()
    for key, own in metadata["sweeps"].items():
        model, method, concept, _ = key.split("/")
        for role, checkpoint in (("original", ("", "")), ("unlearned", (method, concept))):
            names = [f"{role}_{name}" for name in CHECKPOINT_COLUMNS[3:]]
            identity = (str({**metadata, **own}.get(name, "")) for name in names)
            rows.add((model, *checkpoint, *identity))
    table = pd.DataFrame(sorted(rows), columns=CHECKPOINT_COLUMNS)  # an original before its copies
    return table.assign(method=table["method"].replace("", "original"))
