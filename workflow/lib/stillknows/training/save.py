"""What a training leaves: its weights, its log, and the manifest last."""

from pathlib import Path
from typing import Any

from stillknows.files import atomic_folder, atomic_path
from stillknows.models.checkpoint_row import CheckpointRow
from stillknows.models.manifest import write_manifest
from stillknows.training.unlearn import Trained


def save_trained(
    trained: Trained, row: CheckpointRow, training: dict[str, Any], manifest: Path, log: Path
) -> None:
    """Write the checkpoint beside its manifest.

    Args:
        training: what the manifest says beside what the training itself does.
        log: of the steps, parquet.
    """
    with atomic_folder(manifest.parent) as folder:
        trained.model.save_pretrained(folder)
        trained.tokenizer.save_pretrained(folder)
    with atomic_path(log) as partial:
        trained.log.to_parquet(partial, index=False)
    of_training = {"method": row.method} | trained.training | training
    write_manifest(manifest, manifest.parent, row, of_training)
