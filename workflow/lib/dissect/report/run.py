"""What was run: coverage, checkpoints, versions, hashes; from the tables' own metadata."""

import json
from collections.abc import Mapping
from typing import Any

import pandas as pd

CHECKPOINT_COLUMNS = ["model", "method", "concept", "source", "revision", "weights_sha256"]
# Where checkpoints come from, in words.
ORIGINS = {
    "published": "published ones",
    "trained_here": "trained here, by this workflow",
    "own": "the user's own",
}
# Metadata key -> what the page calls it. The rest has a place of its own, or none is needed.
_FACTS = {
    "dtype": "number format",
    "device": "device",
    "python": "Python",
    "schema_version": "schema of the cells",
}


def coverage_counts(coverage: pd.DataFrame) -> pd.DataFrame:
    """Per model and method: concepts, cells done and missing, scores that are null."""
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
    """The cells that are not there, and why: one row per checkpoint and reason."""
    absent = coverage[coverage["status"] != "done"]
    keys = ["model", "method", "concept", "reason"]
    return absent.groupby(keys, as_index=False, sort=True).agg(cells=("experiment", "size"))


def facts(metadata: Mapping[str, Any]) -> dict[str, str]:
    """What all cells share, in words; "differs between cells" where they do not."""
    by_label = {}
    for key, label in _FACTS.items():
        own = sorted({str(cell[key]) for cell in metadata["cells"].values() if key in cell})
        if key in metadata or own:
            by_label[label] = str(metadata[key]) if key in metadata else " | ".join(own)
    for package, version in metadata.get("packages", {}).items():
        by_label[package] = str(version)
    return by_label


def checkpoints(metadata: Mapping[str, Any]) -> pd.DataFrame:
    """Every checkpoint that a cell came from: CHECKPOINT_COLUMNS."""
    rows = set()
    for key, own in metadata["cells"].items():
        model, method, concept, _ = key.split("/")
        fields = {**metadata, **own}
        rows.add((model, "original", "", *_identity(fields, "original")))
        rows.add((model, method, concept, *_identity(fields, "unlearned")))
    table = pd.DataFrame(sorted(rows), columns=CHECKPOINT_COLUMNS)
    first = table["method"] != "original"
    return table.assign(first=first).sort_values(
        ["model", "first", "method", "concept"], ignore_index=True
    )[CHECKPOINT_COLUMNS]


def _identity(fields: Mapping[str, Any], prefix: str) -> tuple[str, ...]:
    names = ("source", "revision", "weights_sha256")
    return tuple(str(fields.get(f"{prefix}_{name}", "")) for name in names)


def settings_text(settings: Mapping[str, Any]) -> str:
    """The study's settings, readable and always in the same order."""
    return json.dumps(settings, indent=2, ensure_ascii=False, default=str)
