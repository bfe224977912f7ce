"""Train a copy of the original that unlearns one concept, and check that it did."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dissect.checkpoints.manifest import read_manifest, write_manifest
from dissect.files import atomic_folder, atomic_path, read_json
from dissect.inputs.rows import CheckpointRow
from dissect.job import run
from dissect.training.methods import METHODS


def main(
    *,
    original: Path,
    concept_json: Path,
    retain: list[Path],
    held_out: list[Path],
    row: CheckpointRow,
    recipe: Mapping[str, Any],
    prompt: str,
    seed: int,
    device: str,
    manifest: Path,
    training_log: Path,
) -> None:
    """Write the weights, the training log, and the manifest last.

    Args:
        original: manifest of the checkpoint to start from.
        concept_json, retain, held_out: concepts' JSONs; those with answers are checked.
    """
    # Not before the job has set the number of threads, which torch reads when it is imported.
    from dissect.training.unlearn import unlearn

    start, retained = read_manifest(original), [read_json(path) for path in retain]
    done = unlearn(
        start.folder,
        read_json(concept_json),
        retained,
        [read_json(path) for path in held_out],
        recipe=METHODS[row.method](**recipe),
        prompt=prompt,
        seed=seed,
        device=device,
    )
    with atomic_folder(manifest.parent) as folder:
        done.model.save_pretrained(folder)
        done.tokenizer.save_pretrained(folder)
    with atomic_path(training_log) as partial:
        done.log.to_parquet(partial, index=False)
    made_from = {
        "prompt": prompt,
        "retain": [str(entry["id"]) for entry in retained],
        "original_weights_sha256": start.weights_sha256,
    }
    training = {"method": row.method} | done.training | made_from
    write_manifest(manifest, manifest.parent, row, training)


if __name__ == "__main__":
    run(main)
