"""How far one unlearned checkpoint's parameters moved from the original's, and where."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from stillknows.job import run
from stillknows.models.reader import Checkpoint
from stillknows.models.verify import refuse_other_shapes
from stillknows.models.weight_changes import TOP_TOKENS, compare_concept_vectors, component_changes
from stillknows.parquet_files import CHANGES_SCHEMA, CONCEPT_VECTOR
from stillknows.study.model_job import ModelJob

log = logging.getLogger("stillknows")


def main(*, original: Path, unlearned: Path, concept_json: Path, weight_changes: Path) -> None:
    """Write the weight changes per component and layer, and of a known concept vector."""
    job = ModelJob(original, concept_json, "float64", "cpu", unlearned)
    before, after = Checkpoint(job.original.folder), Checkpoint(job.model.folder)
    refuse_other_shapes(before, after)
    changes = [concept_vector(before, after, job.concept), *component_changes(before, after)]
    rows = pd.DataFrame(filter(None, changes), columns=CHANGES_SCHEMA.names)
    job.write(weight_changes, rows, CHANGES_SCHEMA, {"top_tokens": TOP_TOKENS})
    for component, group in rows.groupby("component"):
        change = group.set_index("layer")["relative_change"].dropna()
        if len(change):
            log.info(
                f"{component}: relative change {change.mean():.3g} on average, at most "
                f"{change.max():.3g}, at layer {change.idxmax()}"
            )


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


if __name__ == "__main__":
    run(main)
