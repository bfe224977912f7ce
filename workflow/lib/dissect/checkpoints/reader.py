"""Weights read tensor by tensor from safetensors: the layer interface that the engine stands on."""

import copy
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from accelerate import init_empty_weights
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.initialization import no_init_weights

from dissect.checkpoints.families import Family, family_of
from dissect.errors import DissectError

INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"


class Checkpoint:
    """A folder in transformers format, opened: its config is read, its weights are not.

    Attributes:
        config: the transformers config.
        family: its row in the table of families.
        files: the safetensors file of each parameter, by its name.
        shapes: its shape, from the file's header.

    Raises:
        DissectError: no such folder, no config or weights in it, an unknown family, or a file
            that is no whole safetensors file.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = read_config(folder)
        self.family: Family = family_of(self.config.model_type)
        self.files: dict[str, Path] = {}
        self.shapes: dict[str, tuple[int, ...]] = {}
        for path in weight_files(folder):
            with open_weights(path) as weights:
                names = [name for name in _names(weights) if not self.family.is_buffer(name)]
                self.files |= dict.fromkeys(names, path)
                self.shapes |= {name: tuple(weights.get_slice(name).get_shape()) for name in names}

    @property
    def layers(self) -> int:
        return int(self.config.num_hidden_layers)

    def read(
        self, names: Iterable[str], dtype: torch.dtype, device: torch.device
    ) -> dict[str, Tensor]:
        """Read tensors by their full names.

        Files are opened and closed here: a memory-mapped file counts as resident memory for as
        long as a handle or one of its tensors lives.
        """
        by_file: dict[Path, list[str]] = {}
        for name in names:
            by_file.setdefault(self.files[name], []).append(name)
        tensors = {}
        for path, members in by_file.items():
            with open_weights(path) as weights:
                for name in members:
                    tensors[name] = weights.get_tensor(name).to(device, dtype)
        return tensors

    def read_layer(self, layer: int, dtype: torch.dtype, device: torch.device) -> dict[str, Tensor]:
        """All parameters of one decoder layer, by their names inside that layer."""
        prefix = f"{self.layers_path}.{layer}."
        names = [name for name in self.files if name.startswith(prefix)]
        return {
            name.removeprefix(prefix): tensor
            for name, tensor in self.read(names, dtype, device).items()
        }

    def read_value_vectors(self, layer: int, dtype: torch.dtype, device: torch.device) -> Tensor:
        """The weight of one layer's down projection, (hidden, coefficients): its value vectors."""
        name = f"{self.layers_path}.{layer}.{self.family.mlp}.{self.family.down}.weight"
        return self.read([name], dtype, device)[name]

    @property
    def layers_path(self) -> str:
        return f"model.{self.family.layers}"


def read_config(folder: Path) -> Any:
    """The transformers config of a checkpoint folder.

    Raises:
        DissectError: no folder, no readable config.json, or the legacy OLMo format, which
            transformers would take for its own and fill with random weights (no error said).
    """
    path = folder / "config.json"
    if not folder.is_dir():
        raise DissectError(f"checkpoint folder {folder} does not exist")
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DissectError(
            f"{folder} has no config.json: it is no transformers checkpoint"
        ) from None
    except ValueError as error:
        raise DissectError(f"{path} is not valid JSON: {error}") from None
    if "d_model" in raw:
        raise DissectError(
            f"{path} is in the legacy OLMo format, which this version cannot read yet; "
            "use a checkpoint in transformers format"
        )
    family_of(str(raw.get("model_type")))
    return AutoConfig.from_pretrained(folder)


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a checkpoint, by its index or the one file.

    Raises:
        DissectError: if there are none, or the index names one that is not there.
    """
    if (folder / INDEX).is_file():
        weight_map = json.loads((folder / INDEX).read_text(encoding="utf-8"))["weight_map"]
        paths = [folder / name for name in sorted(set(weight_map.values()))]
    else:
        paths = [folder / SINGLE]
    for path in paths:
        if not path.is_file():
            raise DissectError(
                f"{path} is missing: a checkpoint needs {SINGLE}, or {INDEX} and its shards"
            )
    return paths


def open_weights(path: Path) -> Any:
    """Open a safetensors file for reading, as a context manager.

    Raises:
        DissectError: if the file is truncated or no safetensors file.
    """
    try:
        return safe_open(path, framework="pt")
    except (SafetensorError, OSError) as error:
        raise DissectError(
            f"{path} is truncated or no safetensors file ({error}); fetch or save it again"
        ) from None


def _names(weights: Any) -> list[str]:
    return list(weights.keys())


def empty_model(config: Any, dtype: torch.dtype) -> nn.Module:
    """The transformers model of a config with its parameters on the meta device.

    Buffers (rotary frequencies, embedding scales) are real: no checkpoint holds them. The dtype is
    given at construction, as from_pretrained does, so that they are not cast; transformers notes it
    in the config, so the model gets a copy.
    """
    with init_empty_weights(include_buffers=False), no_init_weights():
        model: nn.Module = AutoModelForCausalLM.from_config(copy.deepcopy(config), dtype=dtype)
    return model.eval().requires_grad_(False)


def tied_tensors(model: Any) -> dict[str, str]:
    """Tensors that no file holds since they are another's: {tied name: name in the file}."""
    return dict(model.all_tied_weights_keys)
