"""Train a copy of the original that unlearns one concept, and check that it did."""

import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from dissect.checkpoints.manifest import read_manifest, write_manifest
from dissect.files import atomic_path
from dissect.job import job
from dissect.study.concepts import Entry
from dissect.study.config import Recipe
from dissect.study.table import CheckpointRow


def main(
    *,
    original: Path,
    concept: Path,
    retain: Sequence[Path],
    held_out: Sequence[Path],
    row: CheckpointRow,
    recipe: Recipe,
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
        prompt: the model's prompt style.
        device: auto, cpu, cuda, cuda:N or mps.

    Raises:
        DissectError: see training.unlearn and checkpoints.verify.
    """
    # Seconds of imports, and torch takes its threads from what the job has set.
    from dissect.training.unlearn import unlearn

    done = unlearn(
        read_manifest(original).folder,
        _read(concept),
        [_read(path) for path in retain],
        [_read(path) for path in held_out],
        method=row.method,
        recipe=recipe,
        prompt=prompt,
        seed=seed,
        device=device,
    )
    with _moved_in_place(manifest.parent) as folder:
        done.save(folder)
    with atomic_path(training_log) as partial:
        done.log.to_parquet(partial, index=False)
    write_manifest(manifest, manifest.parent, row, done.training)


def _read(path: Path) -> Entry:
    entry: Entry = json.loads(path.read_text(encoding="utf-8"))
    return entry


@contextmanager
def _moved_in_place(folder: Path) -> Iterator[Path]:
    """A temporary folder beside `folder`; takes its place, whole, when all is written."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        yield partial
        partial.chmod(0o755)
        if folder.exists():
            shutil.rmtree(folder)
        partial.replace(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


if __name__ == "__main__":
    with job() as snakemake:
        main(
            original=Path(snakemake.input.original),
            concept=Path(snakemake.input.concept),
            retain=[Path(path) for path in snakemake.input.retain],
            held_out=[Path(path) for path in snakemake.input.held_out],
            row=CheckpointRow(**snakemake.params.row),
            recipe=Recipe(**snakemake.params.recipe),
            prompt=snakemake.params.prompt,
            seed=snakemake.params.seed,
            device=snakemake.config["device"],
            manifest=Path(snakemake.output.manifest),
            training_log=Path(snakemake.output.training_log),
        )
