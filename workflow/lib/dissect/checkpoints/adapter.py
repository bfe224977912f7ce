"""LoRA adapters: folders of a few matrices that change an original, merged into a checkpoint once.

A merged weight is W + scale * B A, with the scale that peft reads from the adapter's own config
(alpha / r, or alpha / sqrt(r) with rank-stabilised LoRA).
"""

import logging
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, set_peft_model_state_dict
from torch import Tensor

from dissect.checkpoints.manifest import Manifest
from dissect.checkpoints.reader import Checkpoint, load_model, open_weights
from dissect.checkpoints.tokenizer import TOKENIZER_CONFIG, load_tokenizer
from dissect.checkpoints.weight_files import ADAPTER_CONFIG
from dissect.errors import DissectError, reason_of
from dissect.files import read_json_object

log = logging.getLogger("dissect")
WEIGHTS = "adapter_model.safetensors"


def merge_adapter(adapter: Path, original: Manifest, folder: Path) -> None:
    """Write an original with an adapter merged into it as a checkpoint of its own.

    In the original's dtype; with the adapter's tokenizer, or the original's where it brings none.
    A DissectError for another kind than LoRA, or weights that are missing or do not fit.
    """
    config = _read_config(adapter)
    path = adapter / WEIGHTS
    if not path.is_file():
        raise DissectError(
            f"{adapter} has {ADAPTER_CONFIG} but no {WEIGHTS} (pickled weights are never read); "
            f"if it is a whole checkpoint, remove {ADAPTER_CONFIG}"
        )
    with open_weights(path) as weights:
        tensors = {name: weights.get_tensor(name) for name in list(weights.keys())}
    _warn_of_another_base(config, original)
    dtype: torch.dtype = getattr(torch, original.dtype)
    model = load_model(Checkpoint(original.folder), dtype, torch.device("cpu"))
    misfit = f"{adapter} does not fit {original.label} ({original.source})"
    _merged(model, config, tensors, misfit).save_pretrained(folder)
    has_tokenizer = (adapter / TOKENIZER_CONFIG).is_file()
    load_tokenizer(adapter if has_tokenizer else original.folder).save_pretrained(folder)
    log.info("merged %d tensors of %s into %s", len(tensors), adapter, original.label)


def _read_config(adapter: Path) -> dict[str, Any]:
    """adapter_config.json of a LoRA adapter that names no Python code."""
    path = adapter / ADAPTER_CONFIG
    config = read_json_object(path)
    if config.get("peft_type") != "LORA":
        unsupported = (
            f"peft_type is {config.get('peft_type')!r}; only LORA adapters are merged here"
        )
    elif config.get("megatron_config"):
        # peft would import whatever module megatron_core names.
        unsupported = "it has a megatron_config; adapters of Megatron's layers are not supported"
    else:
        return config
    raise DissectError(
        f"{path}: {unsupported}: merge the adapter yourself and name the whole checkpoint's folder"
    )


def _merged(model: Any, config: dict[str, Any], tensors: dict[str, Tensor], misfit: str) -> Any:
    """The model with the adapter's product added to its weights; no trace of peft is left in it."""
    try:
        lora = LoraConfig.from_peft_type(**config)
        lora.inference_mode = True
        adapted = PeftModel(model, lora)
        result: Any = set_peft_model_state_dict(adapted, tensors)
    except Exception as error:  # only of peft, and of what it makes of a user's files
        raise DissectError(f"{misfit}: {reason_of(error)}") from error
    missing = [name for name in result.missing_keys if "lora_" in name]
    unexpected = result.unexpected_keys
    for problem, names in (("lacks {}", missing), ("contains {} unexpected", unexpected)):
        if names:
            number = problem.format(len(names))
            raise DissectError(
                f"{misfit}: it {number} tensor(s), such as {names[0]}; check "
                "that it was trained on this model"
            )
    return adapted.merge_and_unload()


def _warn_of_another_base(config: dict[str, Any], original: Manifest) -> None:
    base = str(config.get("base_model_name_or_path") or "")
    source = original.source.partition(":")[2]
    if base and Path(base).name.casefold() != Path(source).name.casefold():
        log.warning(
            f"the adapter was trained on {base}, as its config says; it is merged into "
            f"{original.source}, the table's original of {original.model}"
        )
