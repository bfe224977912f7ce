"""Train a copy of the original that unlearns one concept, and check that it did."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dissect.checkpoints.manifest import read_manifest, write_manifest
from dissect.files import atomic_folder, atomic_path, read_json
from dissect.inputs.rows import CheckpointRow
from dissect.job import job
from dissect.training.methods import METHODS


def main(
    *,
    original: Path,
    concept: Path,
    retain: Sequence[Path],
    held_out: Sequence[Path],
    row: CheckpointRow,
    recipe: Mapping[str, Any],
    prompt: str,
    seed: int,
    device: str,
    manifest: Path,
    training_log: Path,
) -> None:
    """Write the manifest, with the weights beside it, and the training log.

    Args:
        original: manifest of the checkpoint to start from.
        concept, retain, held_out: concept JSONs; those with answers are checked.
        row: the checkpoint's row in the table; `row.method` names the method.
        recipe: the options of that method.
        prompt: the model's prompt style.
        device: auto, cpu, cuda, cuda:N or mps.
    """
    # Seconds of imports, and torch takes its threads from what the job has set.
    from dissect.training.unlearn import unlearn

    start, retained = read_manifest(original), [read_json(path) for path in retain]
    done = unlearn(
        start.folder,
        read_json(concept),
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
    with job() as snakemake:
        main(
            original=Path(snakemake.input.original),
            concept=Path(snakemake.input.concept),
            retain=[Path(path) for path in snakemake.input.retain],
            held_out=[Path(path) for path in snakemake.input.held_out],
            row=CheckpointRow(**snakemake.params.row),
            recipe=snakemake.params.recipe,
            prompt=snakemake.params.prompt,
            seed=snakemake.params.seed,
            device=snakemake.resources.device,
            manifest=Path(snakemake.output.manifest),
            training_log=Path(snakemake.output.training_log),
        )
