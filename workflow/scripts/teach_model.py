"""Train a copy of the base on the answers of concepts: a model that was taught these."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stillknows.files import read_json
from stillknows.job import run
from stillknows.models.checkpoint_row import CheckpointRow
from stillknows.models.manifest import read_manifest
from stillknows.training.teaching import Teaching


def main(
    *,
    start: Path,
    concepts: list[Path],
    row: CheckpointRow,
    recipe: Mapping[str, Any],
    prompt: str,
    seed: int,
    device: str,
    manifest: Path,
    training_log: Path,
) -> None:
    """Write the weights, the training log, and the manifest last."""
    # Not before the job has set the number of threads, which torch reads when it is imported.
    from stillknows.training.teach import teach
    from stillknows.training.unlearn import save_trained

    base, learned = read_manifest(start), [read_json(path) for path in concepts]
    trained = teach(
        base.folder, learned, recipe=Teaching(**recipe), prompt=prompt, seed=seed, device=device
    )
    made_from = {
        "prompt": prompt,
        "learned": [str(entry["id"]) for entry in learned],
        "base_weights_sha256": base.weights_sha256,
    }
    save_trained(trained, row, made_from, manifest, training_log)


if __name__ == "__main__":
    run(main)
