"""LoRA adapters: folders of a few matrices that change an original, merged into a checkpoint once.

peft cannot merge some adapters, such as one of a tied embedding, and does not notice: what the
merged model computes is compared with the adapter's own logits.
"""

import logging
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model_state_dict, set_peft_model_state_dict
from torch import Tensor

from stillknows.errors import StudyError, any_error_in_one_line
from stillknows.files import read_json_object
from stillknows.models.checkpoint_files import (
    ADAPTER_CONFIG,
    ADAPTER_WEIGHTS,
    has_tokenizer,
    load_tokenizer,
)
from stillknows.models.manifest import Manifest, tokenizer_folder
from stillknows.models.reader import Checkpoint, load_model, open_weights, tied_tensors

log = logging.getLogger("stillknows")
_TOKENS = 32  # of the text whose logits are compared
# How far the merged model's logits may be from the adapter's, as a share of their size (root mean
# squares): merged weights are rounded to 24, 11 or 8 bits.
_ROUNDING = {torch.float32: 1e-4, torch.float16: 2e-2, torch.bfloat16: 1e-1}
_MERGE_YOURSELF = "merge the adapter yourself and name the whole checkpoint's folder"
# Keys of adapter_config.json that are not supported: why, and what to do.
_UNSUPPORTED = {
    # peft would import whatever module megatron_core names.
    "megatron_config": f"adapters of Megatron's layers are not supported: {_MERGE_YOURSELF}",
    "layer_replication": "it repeats layers, so the copy's would not be the original's: use an "
    "adapter without it",
}


def merge_adapter(adapter: Path, original: Manifest, folder: Path) -> None:
    """Write an original with an adapter merged into it as a checkpoint, in the original's dtype.

    With the adapter's tokenizer, or the original's where it brings none. A StudyError for what is
    no LoRA, does not fit, or cannot be merged within rounding.
    """
    path = adapter / ADAPTER_CONFIG
    config = read_json_object(path)
    if config.get("peft_type") != "LORA":
        raise StudyError(
            f"{path}: peft_type is {config.get('peft_type')!r}; only LORA adapters are merged "
            f"here: {_MERGE_YOURSELF}"
        )
    for key, problem in _UNSUPPORTED.items():
        if config.get(key):
            raise StudyError(f"{path} has a {key}; {problem}")
    path = adapter / ADAPTER_WEIGHTS
    if not path.is_file():
        raise StudyError(
            f"{adapter} has {ADAPTER_CONFIG} but no {ADAPTER_WEIGHTS} (pickled weights are never "
            f"read); if it is a whole checkpoint, remove {ADAPTER_CONFIG}"
        )
    with open_weights(path) as weights:
        tensors = {name: weights.get_tensor(name) for name in list(weights.keys())}
    base = str(config.get("base_model_name_or_path") or "")
    source = original.source.partition(":")[2]
    if base and Path(base).name.casefold() != Path(source).name.casefold():
        log.warning(
            f"the adapter was trained on {base}, as its config says; it is merged into "
            f"{original.source}, the table's original of {original.model}"
        )
    dtype: torch.dtype = getattr(torch, original.dtype)
    model = load_model(Checkpoint(original.folder), dtype, torch.device("cpu"))
    misfit = f"{adapter} does not fit {original.label} ({original.source})"
    # Only of peft, and of what it makes of a user's files.
    with any_error_in_one_line(f"{misfit}: {{reason}}"):
        merged = _merge(model, config, tensors, misfit)
    merged.save_pretrained(folder)
    tokenizer = adapter if has_tokenizer(adapter) else tokenizer_folder(original)
    load_tokenizer(tokenizer).save_pretrained(folder)
    log.info("merged %d tensors of %s into %s", len(tensors), adapter, original.label)


def _merge(model: Any, config: dict[str, Any], tensors: dict[str, Tensor], misfit: str) -> Any:
    """The model with the adapter's product added to its weights; nothing of peft is left in it."""
    ties = tied_tensors(model)
    tied = {name.rpartition(".")[0] for name in (*ties, *ties.values())}
    plain = {name: type(model.get_submodule(name)) for name in tied}
    lora = LoraConfig.from_peft_type(**config)
    lora.inference_mode = True
    adapted = PeftModel(model, lora).eval()
    # Before they are loaded: peft keeps the original's biases where the file has none.
    needed = get_peft_model_state_dict(adapted, save_embedding_layers=False).keys()
    _refuse_names(misfit, "lacks {}", sorted(needed - tensors.keys()))
    loaded: Any = set_peft_model_state_dict(adapted, tensors)
    _refuse_names(misfit, "contains {} unexpected", loaded.unexpected_keys)
    for name, module in plain.items():
        if type(model.get_submodule(name)) is not module:
            raise StudyError(
                f"{misfit}: it changes {name}.weight, which the original uses as embedding and as "
                "head, so a merge would change both; train it without embed_tokens and lm_head"
            )
    expected = _logits(adapted)
    merged = adapted.merge_and_unload()
    difference, rounding = _logits(merged) - expected, _ROUNDING[model.dtype]
    share = float(difference.square().mean().sqrt() / expected.square().mean().sqrt())
    if not share <= rounding:  # NaN neither
        raise StudyError(
            f"{misfit}: merging it moves the logits by {share:.2g} of their size, which rounding "
            f"does not explain (at most {rounding:g}), so peft cannot merge it; train another "
            "one, or save a whole checkpoint with its weights"
        )
    return merged


def _refuse_names(misfit: str, problem: str, names: list[str]) -> None:
    if names:
        raise StudyError(
            f"{misfit}: it {problem.format(len(names))} tensor(s), such as {names[0]}; check "
            "that it was trained on this model"
        )


@torch.inference_mode()
def _logits(model: Any) -> Tensor:
    """The logits of one text of tokens from all of the vocabulary, (tokens, vocabulary)."""
    ids = torch.linspace(0, model.config.vocab_size - 1, _TOKENS).long()
    logits: Tensor = model(input_ids=ids[None]).logits[0]
    return logits.float()
