"""The files of a checkpoint's folder: its weights and its tokenizer. Free of torch: planning asks,
too.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stillknows.errors import StudyError, reason_of
from stillknows.files import read_json_object
from stillknows.models.olmo_legacy import is_legacy

INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
ADAPTER_CONFIG = "adapter_config.json"  # as peft calls it
ADAPTER_WEIGHTS = "adapter_model.safetensors"
# A file beside the index, in every case: neither a path nor a name that a message cannot show.
_SHARD = re.compile(r"[\w.+-]{1,200}\.safetensors", re.ASCII)


def weight_files(folder: Path) -> list[Path]:
    paths = named_weight_files(folder)
    for path in paths:
        if not path.is_file():
            raise StudyError(
                f"{path} is missing: a checkpoint needs {SINGLE}, or {INDEX} and its shards; "
                "download or save it again"
            )
    return paths


def named_weight_files(folder: Path) -> list[Path]:
    """The one file, or those that the index names, there or not; a StudyError if both exist."""
    index = folder / INDEX
    if not index.exists():
        return [folder / SINGLE]
    if (folder / SINGLE).exists():
        raise StudyError(
            f"{folder} holds both {SINGLE} and {INDEX}, which are two sets of weights; remove the "
            "set that is out of date (the single file, or the index and its shards)"
        )
    weight_map = read_json_object(index).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise StudyError(
            f"{index} has no weight_map that names the file of each tensor; fetch or save the "
            "checkpoint again"
        )
    for name in weight_map.values():
        if not isinstance(name, str) or not _SHARD.fullmatch(name):
            raise StudyError(
                f"{index} names {str(name)[:100]!r} as a file of weights; only .safetensors files "
                "in the same folder are read: save the checkpoint again"
            )
    return [folder / name for name in sorted(set(weight_map.values()))]


def quantised_problem(config: Mapping[str, Any]) -> str:
    """Why a config.json describes quantised weights (GPTQ, AWQ, bitsandbytes, ...); else empty."""
    for key in ("quantization_config", "compression_config"):
        if (given := config.get(key)) is not None:
            method = given.get("quant_method") if isinstance(given, dict) else None
            return (
                f"has a {key} ({method or 'of an unnamed method'}), so the weights are quantised, "
                "which is not supported; name the checkpoint that they were made from, or save "
                "them dequantised in bfloat16"
            )
    return ""


TOKENIZER_CONFIG = "tokenizer_config.json"
TOKENIZERS = (TOKENIZER_CONFIG, "tokenizer.json", "tokenizer.model", "vocab.json")


def has_tokenizer(folder: Path) -> bool:
    return any((folder / name).is_file() for name in TOKENIZERS)


def load_tokenizer(folder: Path) -> Any:
    """A checkpoint's own tokenizer; a StudyError if it cannot be read, or needs Python code."""
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    config = folder / "config.json"  # an adapter's folder has none
    legacy = config.is_file() and is_legacy(read_json_object(config))
    path = folder / TOKENIZER_CONFIG
    # Another class of tokenizer in its place might make other tokens of a text.
    if not legacy and path.exists() and read_json_object(path).get("auto_map") is not None:
        raise StudyError(
            f"{path} names Python code of its own (auto_map), and such code is never run; save "
            "the tokenizer with a class of transformers, or delete auto_map if tokenizer.json is "
            "complete"
        )
    # The tokenizer of a legacy OLMo has a class of ai2-olmo's, a plain one under another name.
    reader = PreTrainedTokenizerFast if legacy else AutoTokenizer
    try:
        tokenizer = reader.from_pretrained(folder, trust_remote_code=False)
        tokenizer("a")  # shows some mistakes that reading does not
    # The tokenizers library raises plain exceptions, and transformers passes them on.
    except Exception as error:
        raise StudyError(
            f"{folder} holds no tokenizer that can be read ({reason_of(error)}); "
            "copy the original's tokenizer files there, or save it again"
        ) from error
    # What is saved of it need not name code that nobody needs.
    tokenizer.init_kwargs.pop("auto_map", None)
    return tokenizer
