"""Weights read tensor by tensor from safetensors, and the config: what the engine stands on."""

import copy
import functools
import json
import os
import re
from collections.abc import Collection, Iterable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any

import torch
from accelerate import init_empty_weights
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from transformers import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    AutoConfig,
    AutoModelForCausalLM,
    GenerationConfig,
)
from transformers.initialization import no_init_weights

from stillknows.errors import StudyError, used_by_transformers
from stillknows.files import read_json_object
from stillknows.models import olmo_legacy
from stillknows.models.checkpoint_files import quantised_problem, weight_files
from stillknows.models.families import LAYER_PARTS, LayerPart, family_of
from stillknows.models.olmo_legacy import StoredAt

_READAHEAD_THREAD = "readahead of weights"
_ASKED = 1 << 19  # bytes: the kernel cuts what is asked of it at once


def _ask(wanted: Mapping[Path, set[str]]) -> None:
    with suppress(Exception), ExitStack() as stack:  # reading a broken file will say so
        for path, tensors in wanted.items():
            file = stack.enter_context(path.open("rb"))
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(length))
            for name in sorted(tensors & header.keys()):
                first, last = (8 + length + offset for offset in header[name]["data_offsets"])
                for start in range(first, last, _ASKED):
                    size = min(_ASKED, last - start)
                    os.posix_fadvise(file.fileno(), start, size, os.POSIX_FADV_WILLNEED)


CONFIG = "config.json"
OLMO_LEGACY = "olmo-legacy"


def read_config(folder: Path) -> tuple[Any, str]:
    """The transformers config of a checkpoint folder, and the folder's format.

    `architectures` is the class that transformers builds for the family, whatever the file says;
    `dtype` is None where the file does not say it. A StudyError for what describes no model.
    """
    path = folder / CONFIG
    if not folder.is_dir():
        raise StudyError(f"checkpoint folder {folder} does not exist; correct its path")
    if not path.exists():
        raise StudyError(
            f"{folder} has no {CONFIG}: it is not a transformers checkpoint; name a folder that "
            "has it"
        )
    raw = read_json_object(path)
    if problem := quantised_problem(raw):
        raise StudyError(f"{path} {problem}")
    if olmo_legacy.is_legacy(raw):
        config, format_ = olmo_legacy.config_of(raw, path), OLMO_LEGACY
    else:
        family_of(str(raw.get("model_type")))
        for key in ("dtype", "torch_dtype"):
            if raw.get(key) not in (None, "float32", "float16", "bfloat16"):
                raise StudyError(
                    f"{path}: {key} is {raw[key]!r}; supported are float32, float16 and bfloat16: "
                    "save the checkpoint in one of them, or leave the key out"
                )
        with used_by_transformers(path):
            config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        format_ = "transformers"
    # What transformers notices only when it computes.
    problem = ""
    heads, shared = config.num_attention_heads, getattr(config, "num_key_value_heads", None)
    if getattr(config, "sliding_window", None) == 0:
        problem = "sliding_window is 0, but a window has at least one position"
    elif shared is not None and (shared == 0 or heads % shared):
        problem = (
            f"num_attention_heads is {heads}, which is not a multiple of num_key_value_heads = "
            f"{shared}"
        )
    if problem:
        raise StudyError(f"{path}: {problem}; use the config.json that was saved with the weights")
    model_class: Any = MODEL_FOR_CAUSAL_LM_MAPPING[type(config)]
    config.architectures = [model_class.__name__]
    # What a config may say of a call, not of the model: tuples as outputs, and a kernel for the
    # attention, which transformers would download and run.
    config.return_dict = True
    config._attn_implementation = None
    return config, format_


def refuse_long(config: Any, tokens: int) -> None:
    """Refuse a longest text (with its answer) beyond the model's original length.

    Beyond it, some rotary embeddings turn all positions by angles that depend on the longest text.
    """
    parameters = getattr(config, "rope_parameters", None) or {}
    # Some families have one entry per type of layer.
    for entry in [parameters] if "rope_type" in parameters else parameters.values():
        kind = entry.get("rope_type") if isinstance(entry, dict) else None
        if kind == "longrope":
            most = int(entry["original_max_position_embeddings"])
        elif kind == "dynamic":
            # transformers keeps the angles of a longer text for one of exactly this length.
            most = int(config.max_position_embeddings) - 1
        else:
            continue
        if tokens > most:
            raise StudyError(
                f"a text has {tokens} tokens (with all that may be generated), but beyond {most} "
                "this model's rotary embedding depends on the length, so texts computed together "
                "would change each other; shorten the questions and answers, or leave the concept "
                "out"
            )


GENERATION = "generation_config.json"
# As safetensors writes them.
FLOATS = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


@dataclass(frozen=True)
class Stored:
    """A tensor as a file's header describes it; the dtype in safetensors' words, e.g. "BF16"."""

    file: Path
    shape: tuple[int, ...]
    dtype: str


class Checkpoint:
    """A folder in transformers' format or in legacy OLMo's, opened: its weights are not read yet.

    Parameters go by the names that transformers gives them. A StudyError if the config describes no
    known model, or the files hold no whole tensors in a supported number format.

    Attributes:
        config: where config.json does not say the dtype, the one that holds all stored values.
        stored: the tensors of the files by their names there; buffers are left out.
        stored_at: where each parameter is stored in the files, by its name.
        files, shapes: of each parameter that is there.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config, self.format = read_config(folder)
        self.family = family_of(self.config.model_type)
        self.layers = int(self.config.num_hidden_layers)
        self.layers_path = f"{self.family.base}.{self.family.layers}"
        self.stored = _read_headers(folder, self.family.buffers)
        if self.layers > len(self.stored):
            raise StudyError(
                f"{folder / CONFIG} describes a model of {self.layers} layers, but the files "
                f"hold only {len(self.stored)} tensors; use the config of these weights"
            )
        if self.config.dtype is None:
            dtypes = {FLOATS[stored.dtype] for stored in self.stored.values()}
            self.config.dtype = functools.reduce(torch.promote_types, dtypes)
        if self.format == OLMO_LEGACY:
            self.stored_at = olmo_legacy.stored_at(self.config)
        else:
            names = {stored: name for name, stored in self.family.stored.items()}
            self.stored_at = {names.get(name, name): StoredAt(name) for name in self.stored}
        self.files: dict[str, Path] = {}
        self.shapes: dict[str, tuple[int, ...]] = {}
        for name, at in self.stored_at.items():
            if at.tensor in self.stored:
                stored = self.stored[at.tensor]
                self.files[name], self.shapes[name] = stored.file, stored.shape
                if at.rows is not None:
                    self.shapes[name] = (at.rows[1] - at.rows[0], *stored.shape[1:])

    def where_stored(self, name: str) -> StoredAt:
        """Where a parameter is stored in the files, or would be if the files had it."""
        return self.stored_at.get(name, StoredAt(self.family.stored.get(name, name)))

    def read(
        self,
        names: Iterable[str],
        dtype: torch.dtype | None = None,
        device: torch.device | None = None,
    ) -> dict[str, Tensor]:
        """Read parameters by their full names; without dtype and device as saved, on the CPU."""
        by_file: dict[Path, list[str]] = {}
        for name in names:
            by_file.setdefault(self.files[name], []).append(name)
        tensors = {}
        # A memory-mapped file counts as resident memory for as long as it is open.
        for path, members in by_file.items():
            with open_weights(path) as weights:
                for name in members:
                    at = self.stored_at[name]
                    if at.rows is None:
                        tensor = weights.get_tensor(at.tensor)
                    else:
                        tensor = weights.get_slice(at.tensor)[slice(*at.rows)]
                    tensors[name] = self.converted(name, tensor, dtype, device)
        return tensors

    def converted(
        self, name: str, tensor: Tensor, dtype: torch.dtype | None, device: torch.device | None
    ) -> Tensor:
        """A parameter as `read` returns it, of one as it is saved; here its weights may change."""
        return tensor.to(device, dtype)

    def readahead(self, names: Iterable[str]) -> None:
        """Let the system bring parameters that are there into memory; returns at once.

        Nothing happens where the system has no such call.
        """
        wanted: dict[Path, set[str]] = {}
        for name in names:
            if name in self.files:
                wanted.setdefault(self.files[name], set()).add(self.stored_at[name].tensor)
        if wanted and hasattr(os, "posix_fadvise"):
            # In a thread, since asking waits where the disk is busy. It takes no processor time.
            Thread(target=_ask, args=[wanted], name=_READAHEAD_THREAD, daemon=True).start()

    def layer_names(self, layer: int, parts: Collection[LayerPart] = LAYER_PARTS) -> list[str]:
        """The full names of one decoder layer's parameters; none if there is no such layer."""
        prefix = f"{self.layers_path}.{layer}."
        return [
            name
            for name in self.files
            if name.startswith(prefix) and self.family.part_of(name.removeprefix(prefix)) in parts
        ]

    def read_layer(
        self, layer: int, dtype: torch.dtype | None = None, device: torch.device | None = None
    ) -> dict[str, Tensor]:
        """All parameters of one decoder layer, by their names inside that layer."""
        return self.read_parts(layer, LAYER_PARTS, dtype, device)

    def read_parts(
        self,
        layer: int,
        parts: Collection[LayerPart],
        dtype: torch.dtype | None = None,
        device: torch.device | None = None,
    ) -> dict[str, Tensor]:
        """Those of some parts of it."""
        tensors = self.read(self.layer_names(layer, parts), dtype, device)
        prefix = f"{self.layers_path}.{layer}."
        return {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}


def _read_headers(folder: Path, buffers: str) -> dict[str, Stored]:
    """All tensors of a checkpoint's files by their names there, but for buffers (a pattern)."""
    tensors: dict[str, Stored] = {}
    for path in weight_files(folder):
        with open_weights(path) as weights:
            for name in list(weights.keys()):
                if name in tensors:
                    raise StudyError(
                        f"tensor {name} is stored both in {tensors[name].file} and in {path}; save "
                        "the checkpoint again in an empty folder"
                    )
                header = weights.get_slice(name)
                dtype = header.get_dtype()
                if re.fullmatch(buffers, name):
                    continue
                if dtype not in FLOATS:
                    raise StudyError(
                        f"{path}: tensor {name} is stored as {dtype}; supported are "
                        f"{', '.join(FLOATS)}: save the checkpoint in one of them, dequantised"
                    )
                tensors[name] = Stored(path, tuple(header.get_shape()), dtype)
    return tensors


def open_weights(path: Path) -> Any:
    """Open a safetensors file for reading, as a context manager."""
    try:
        return safe_open(path, framework="pt")
    except (SafetensorError, OSError) as error:
        raise StudyError(
            f"{path} is truncated or not a safetensors file ({error}); download or save it again"
        ) from None


def empty_model(config: Any, dtype: torch.dtype) -> nn.Module:
    """The transformers model of a config, its parameters on the meta device.

    Buffers (rotary frequencies, embedding scales) are real: no checkpoint holds them.
    """
    with init_empty_weights(include_buffers=False), no_init_weights():
        model: nn.Module = AutoModelForCausalLM.from_config(
            copy.deepcopy(config), dtype=dtype, trust_remote_code=False
        )
    return model.eval().requires_grad_(False)


def load_model(checkpoint: Checkpoint, dtype: torch.dtype, device: torch.device) -> Any:
    """The whole transformers model, in evaluation mode, every weight from where it is stored."""
    model: Any = empty_model(checkpoint.config, dtype)
    tied = tied_tensors(model)
    for name, _ in list(model.named_parameters(remove_duplicate=False)):
        if name not in tied:
            owner, _, leaf = name.rpartition(".")
            # A copy: what was read may be a view of the file.
            tensor = checkpoint.read([name], dtype, device)[name].clone()
            setattr(model.get_submodule(owner), leaf, nn.Parameter(tensor))
    model.tie_weights()
    generation = read_generation_config(checkpoint.folder)
    if generation is not None:
        model.generation_config = generation
    return model.to(device)


def read_generation_config(folder: Path) -> Any:
    """A checkpoint's generation_config.json as transformers' GenerationConfig, or None."""
    path = folder / GENERATION
    if not path.exists():
        return None
    ends = read_json_object(path).get("eos_token_id")
    if any(type(end) is not int for end in (ends if isinstance(ends, list) else [ends or 0])):
        raise StudyError(
            f"{path}: eos_token_id is {ends!r}, but must be a token's number or a list of such; "
            f"use the {GENERATION} that was saved with the weights"
        )
    with used_by_transformers(path):
        return GenerationConfig.from_pretrained(folder)


def tied_tensors(model: Any) -> dict[str, str]:
    """Tensors that no file holds since they are another's: {tied name: name in the file}."""
    return dict(model.all_tied_weights_keys)
