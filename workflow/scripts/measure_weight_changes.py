"""How far one unlearned checkpoint's parameters moved from the original's, and where."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from stillknows.files import read_json
from stillknows.job import run
from stillknows.models.manifest import read_manifest
from stillknows.models.provenance import Stopwatch, hash_of, result_fields
from stillknows.models.reader import Checkpoint
from stillknows.models.verify import refuse_other_shapes
from stillknows.models.weight_changes import TOP_TOKENS, compare_concept_vectors, component_changes
from stillknows.parquet_files import CHANGES_SCHEMA, CONCEPT_VECTOR, write_rows

log = logging.getLogger("stillknows")


def main(*, original: Path, unlearned: Path, concept_json: Path, weight_changes: Path) -> None:
    """Write one checkpoint's weight changes: per component and layer, and of the concept vector.

    Without Layer and Dim in the concept there is no row of its vector.
    """
    stopwatch = Stopwatch()
    original_manifest, unlearned_manifest = read_manifest(original), read_manifest(unlearned)
    data = read_json(concept_json)
    before, after = Checkpoint(original_manifest.folder), Checkpoint(unlearned_manifest.folder)
    refuse_other_shapes(before, after)
    changes = [concept_vector(before, after, data), *component_changes(before, after)]
    rows = pd.DataFrame(filter(None, changes), columns=CHANGES_SCHEMA.names)
    rows = rows.assign(**unlearned_manifest.columns(data))
    metadata = result_fields(
        concept_json, original_manifest, unlearned_manifest, device="cpu", dtype="float64"
    )
    metadata |= {"config_hash": hash_of({"top_tokens": TOP_TOKENS})} | stopwatch.fields()
    write_rows(weight_changes, rows, metadata, CHANGES_SCHEMA)
    report(rows)


def concept_vector(
    original: Checkpoint, unlearned: Checkpoint, concept: Mapping[str, Any]
) -> dict[str, Any] | None:
    """The row of the concept vector; None where the concept does not name it."""
    layer, dim = concept.get("Layer"), concept.get("Dim")
    if layer is None or dim is None:
        log.info("concept %s has no Layer and Dim: no concept vector to compare", concept["id"])
        return None
    row = compare_concept_vectors(original, unlearned, layer, dim)
    log.info(
        f"concept vector (layer {layer}, dim {dim}): cosine {row['cosine']:.4f}, "
        f"L2 {row['l2']:.4f}, Jaccard {row['jaccard']:.3f}"
    )
    return {"component": CONCEPT_VECTOR, **row}


def report(rows: pd.DataFrame) -> None:
    """Say in the log where each component moved most."""
    for component, group in rows.groupby("component"):
        change = group.set_index("layer")["relative_change"].dropna()
        if len(change):
            log.info(
                f"{component}: relative change {change.mean():.3g} on average, at most "
                f"{change.max():.3g}, at layer {change.idxmax()}"
            )


if __name__ == "__main__":
    run(main)
