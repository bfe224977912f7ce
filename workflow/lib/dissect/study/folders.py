"""What config.json tells of the folders in a checkpoints table, before a job opens a weight."""

from pathlib import Path
from typing import Any

from dissect.checkpoints.weight_files import named_weight_files
from dissect.errors import DissectError
from dissect.files import read_json_object
from dissect.study.rows import CheckpointRow

_LEGACY = {"hf_olmo": "olmo"}  # ai2-olmo's later name of the same family


def check_folder(row: CheckpointRow) -> None:
    """Whether a path: row's folder is a checkpoint at all.

    Raises:
        DissectError: if it has no config.json that can be read, or its files leave open which of
            them hold the weights.
    """
    folder = Path(row.location)
    if not (folder / "config.json").is_file():
        raise DissectError(
            f"{row.name}: folder {folder} has no config.json, so it is no checkpoint in "
            f"transformers format; name the folder that holds config.json and the safetensors "
            f"files{_hint(folder)}"
        )
    read_json_object(folder / "config.json")
    named_weight_files(folder)


def check_pair(row: CheckpointRow, original: CheckpointRow) -> None:
    """Whether two path: rows can be a model and its fine-tuned copy, by family and layers.

    What their config.json does not tell is left to the jobs, which compare every tensor's shape.

    Raises:
        DissectError: naming both.
    """
    expected, actual = (_model(Path(one.location)) for one in (original, row))
    if None not in (*expected, *actual) and expected != actual:
        raise DissectError(
            f"{row.name}: {row.location} is a {_words(actual)}, its original {original.location} a "
            f"{_words(expected)}: an unlearned checkpoint must be a fine-tuned copy of its original"
        )


def layers_of(folder: Path) -> int | None:
    """How many layers the checkpoint in a folder has; None where its config.json does not tell."""
    values = _config(folder)
    layers = values.get("num_hidden_layers", values.get("n_layers"))
    return layers if isinstance(layers, int) else None


def _model(folder: Path) -> tuple[str | None, int | None]:
    """Family and number of layers."""
    family = _config(folder).get("model_type")
    return _LEGACY.get(family, family) if isinstance(family, str) else None, layers_of(folder)


def _words(model: tuple[str | None, int | None]) -> str:
    return f"{model[0]} model of {model[1]} layers"


def _config(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    return read_json_object(path) if path.is_file() else {}


def _hint(folder: Path) -> str:
    """The folder that was probably meant: the only one inside that is a checkpoint."""
    inside = [path.parent for path in folder.glob("*/config.json")]
    return f" (did you mean {inside[0]}?)" if len(inside) == 1 else ""
