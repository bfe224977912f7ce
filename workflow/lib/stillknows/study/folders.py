"""What config.json tells of the folders in a checkpoints table, before a job opens a weight."""

from pathlib import Path
from typing import Any

from stillknows.errors import StudyError
from stillknows.files import read_json_object
from stillknows.models.checkpoint_row import CheckpointRow
from stillknows.models.weight_files import named_weight_files

_LEGACY = {"hf_olmo": "olmo"}  # ai2-olmo's later name of the same family


def check_folder(row: CheckpointRow) -> None:
    """Whether a path: row's folder is a checkpoint at all.

    Raises:
        StudyError: if it has no config.json that can be read, or its files leave open which of
            them hold the weights.
    """
    folder = Path(row.location)
    if not (folder / "config.json").is_file():
        inside = [path.parent for path in folder.glob("*/config.json")]
        hint = f" (did you mean {inside[0]}?)" if len(inside) == 1 else ""
        raise StudyError(
            f"{row.name}: folder {folder} has no config.json, so it is not a checkpoint in "
            "transformers format; name the folder that holds config.json and the safetensors "
            f"files{hint}"
        )
    read_json_object(folder / "config.json")
    named_weight_files(folder)


def check_pair(row: CheckpointRow, original: CheckpointRow) -> None:
    """Whether two path: rows can be a model and its fine-tuned copy, by family and layers.

    What their config.json does not tell is left to the jobs, which compare every tensor's shape.

    Raises:
        StudyError: naming both.
    """
    family, layers = _shape(row)
    expected = _shape(original)
    if None not in (family, layers, *expected) and (family, layers) != expected:
        raise StudyError(
            f"{row.name}: {row.location} has family {family} and {layers} layers, but its original "
            f"{original.location} has family {expected[0]} and {expected[1]} layers; name a "
            "fine-tuned copy of this original"
        )


def _shape(row: CheckpointRow) -> tuple[str | None, int | None]:
    """The model family and the number of layers."""
    family = _config(Path(row.location)).get("model_type")
    known = _LEGACY.get(family, family) if isinstance(family, str) else None
    return known, layers_of(Path(row.location))


def layers_of(folder: Path) -> int | None:
    """How many layers the checkpoint in a folder has; None where its config.json does not tell."""
    values = _config(folder)
    layers = values.get("num_hidden_layers", values.get("n_layers"))
    return layers if isinstance(layers, int) else None


def _config(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    return read_json_object(path) if path.is_file() else {}
