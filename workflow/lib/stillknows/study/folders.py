"""What config.json tells of the folders in a checkpoints table, before a job opens a weight."""

from pathlib import Path
from typing import Any

from stillknows.errors import StudyError
from stillknows.files import read_json_object
from stillknows.models.checkpoint_row import CheckpointRow
from stillknows.models.weight_files import named_weight_files

_LEGACY = {"hf_olmo": "olmo"}  # ai2-olmo's later name of the same family


def check_folder(row: CheckpointRow) -> None:
    """Raise a StudyError if a path: row's folder has no config.json, or no clear set of weights."""
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
    """Raise a StudyError if two path: rows cannot be a fine-tuned copy and its original.

    What their config.json does not tell is left to the jobs, which compare every tensor's shape.
    """
    (family, layers), (expected, depth) = _shape(row), _shape(original)
    if None not in (family, layers, expected, depth) and (family, layers) != (expected, depth):
        raise StudyError(
            f"{row.name}: {row.location} has family {family} and {layers} layers, but its original "
            f"{original.location} has family {expected} and {depth} layers; name a fine-tuned copy "
            "of this original"
        )


def _shape(row: CheckpointRow) -> tuple[str | None, int | None]:
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
