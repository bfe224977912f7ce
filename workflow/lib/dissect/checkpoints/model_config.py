"""The config.json of a checkpoint: read, checked, and made a config of transformers.

It is a user's file. Whatever transformers raises while it builds something of it is one line about
that file, and no code that it names is ever run.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, AutoConfig

from dissect.checkpoints import olmo_legacy
from dissect.checkpoints.families import family_of
from dissect.errors import DissectError, used_by_transformers
from dissect.files import read_json_object

CONFIG = "config.json"
TRANSFORMERS = "transformers"
OLMO_LEGACY = "olmo-legacy"
_DTYPES = (None, "float32", "float16", "bfloat16")
_QUANTISED = ("quantization_config", "compression_config")
_SIZES = (
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "vocab_size",
    "max_position_embeddings",
    "sliding_window",
    *olmo_legacy.SIZES,
)


def read_config(folder: Path) -> tuple[Any, str]:
    """The transformers config of a checkpoint folder, and the folder's format.

    `architectures` is the class that transformers builds for the family, whatever the file says;
    `dtype` is None where the file does not say it. A DissectError for what describes no model.
    """
    path = folder / CONFIG
    if not folder.is_dir():
        raise DissectError(f"checkpoint folder {folder} does not exist")
    if not path.exists():
        raise DissectError(f"{folder} has no {CONFIG}: it is no transformers checkpoint")
    raw = read_json_object(path)
    _refuse_quantised(raw, path)
    _refuse_impossible_sizes(raw, path)
    _refuse_remainder(raw, path, "d_model", "n_heads")
    if olmo_legacy.is_legacy(raw):
        config, format_ = olmo_legacy.config_of(raw, path), OLMO_LEGACY
    else:
        family_of(str(raw.get("model_type")))
        _refuse_dtype(raw, path)
        with used_by_transformers(path):
            config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        format_ = TRANSFORMERS
    _refuse_remainder(vars(config), path, "num_attention_heads", "num_key_value_heads")
    model_class: Any = MODEL_FOR_CAUSAL_LM_MAPPING[type(config)]
    config.architectures = [model_class.__name__]
    # What a config may say of a call, not of the model: tuples as outputs, and a kernel for the
    # attention, which transformers would download and run.
    config.return_dict = True
    config._attn_implementation = None
    return config, format_


def _refuse_quantised(raw: Mapping[str, Any], path: Path) -> None:
    for key in _QUANTISED:
        if raw.get(key) is not None:
            raise DissectError(
                f"{path} has a {key}, so the weights are quantised, which is not supported; "
                "save the checkpoint dequantised in bfloat16"
            )


def _refuse_dtype(raw: Mapping[str, Any], path: Path) -> None:
    for key in ("dtype", "torch_dtype"):
        if raw.get(key) not in _DTYPES:
            raise DissectError(
                f"{path}: {key} is {raw[key]!r}; supported are float32, float16 and bfloat16: "
                "save the checkpoint in one of them, or leave the key out"
            )


def _refuse_impossible_sizes(raw: Mapping[str, Any], path: Path) -> None:
    for name in _SIZES:
        value = raw.get(name)
        if value is not None and not (type(value) is int and value > 0):
            raise DissectError(
                f"{path}: {name} is {json.dumps(value)}, but a size is a whole number from 1; "
                "use the config.json that was saved with the weights"
            )


def _refuse_remainder(values: Mapping[str, Any], path: Path, name: str, divisor: str) -> None:
    whole, part = values.get(name), values.get(divisor)
    if whole is not None and part is not None and whole % part:
        raise DissectError(
            f"{path}: {name} is {whole}, which is no multiple of {divisor} = {part}; "
            "use the config.json that was saved with the weights"
        )
