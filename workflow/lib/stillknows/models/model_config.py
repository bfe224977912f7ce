"""The config.json of a checkpoint: read, checked, and made a config of transformers.

It is a user's file. Whatever transformers raises while it builds something of it is one line about
that file, and no code that it names is ever run.
"""

from pathlib import Path
from typing import Any

from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, AutoConfig

from stillknows.errors import StudyError, used_by_transformers
from stillknows.files import read_json_object
from stillknows.models import olmo_legacy
from stillknows.models.families import family_of

CONFIG = "config.json"
TRANSFORMERS = "transformers"
OLMO_LEGACY = "olmo-legacy"
_DTYPES = (None, "float32", "float16", "bfloat16")


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
    for key in ("quantization_config", "compression_config"):
        if raw.get(key) is not None:
            raise StudyError(
                f"{path} has a {key}, so the weights are quantised, which is not supported; "
                "save the checkpoint dequantised in bfloat16"
            )
    if olmo_legacy.is_legacy(raw):
        config, format_ = olmo_legacy.config_of(raw, path), OLMO_LEGACY
    else:
        family_of(str(raw.get("model_type")))
        for key in ("dtype", "torch_dtype"):
            if raw.get(key) not in _DTYPES:
                raise StudyError(
                    f"{path}: {key} is {raw[key]!r}; supported are float32, float16 and bfloat16: "
                    "save the checkpoint in one of them, or leave the key out"
                )
        with used_by_transformers(path):
            config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        format_ = TRANSFORMERS
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

    Beyond it, some rotary embeddings turn all positions of a text by other angles. Texts that are
    computed together would then change each other: their angles are those of the longest.
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
