"""Train a copy of the original that unlearns one concept, and check that it did."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stillknows.files import read_json
from stillknows.job import run
from stillknows.models.checkpoint_row import CheckpointRow
from stillknows.models.manifest import read_manifest, tokenizer_folder
from stillknows.training.methods import METHODS


def main(
    *,
    start: Path,
    concept_json: Path,
    retain: list[Path],
    held_out: list[Path],
    row: CheckpointRow,
    recipe_method: str,
    recipe: Mapping[str, Any],
    prompt: str,
    seed: int,
    device: str,
    manifest: Path,
    training_log: Path,
) -> None:
    """Write the weights, the training log, and the manifest last."""
    # Not before the job has set the number of threads, which torch reads when it is imported.
    from stillknows.training.unlearn import save_trained, unlearn

    started_from, retained = read_manifest(start), [read_json(path) for path in retain]
    done = unlearn(
        started_from.folder,
        read_json(concept_json),
        retained,
        [read_json(path) for path in held_out],
        recipe=METHODS[recipe_method](**recipe),
        prompt=prompt,
        seed=seed,
        device=device,
        tokenizer_folder=tokenizer_folder(started_from),
    )
    made_from = {
        "prompt": prompt,
        "retain": [str(entry["id"]) for entry in retained],
        f"{row.start}_weights_sha256": started_from.weights_sha256,
    }
    save_trained(done, row, made_from, manifest, training_log)


if __name__ == "__main__":
    run(main)
