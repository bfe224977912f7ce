"""The legacy OLMo format, as ai2-olmo (hf_olmo) saves it, in the words of transformers.

q, k and v lie in one tensor, the MLP's two inputs in another. Nothing is converted on disk: the
reader takes the rows that it needs. Source: allenai/OLMo, olmo/config.py and olmo/model.py.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stillknows.errors import StudyError, used_by_transformers

# These must be in the config, since ai2-olmo has other defaults.
_REQUIRED = ("rope", "include_bias", "layer_norm_with_affine")
# The only settings that transformers' OLMo computes: a config with others is refused.
_COMPUTED: dict[str, Any] = {
    "rope": True,
    "include_bias": False,
    "layer_norm_with_affine": False,
    "activation_type": "swiglu",
    "alibi": False,
    "attention_layer_norm": False,
    "block_group_size": 1,
    "block_type": "sequential",
    "embedding_dropout": 0,
    "embedding_layer_norm": False,
    "layer_norm_eps": 1e-5,
    "layer_norm_type": "default",
    "norm_after": False,
    "residual_dropout": 0,
    "rope_full_precision": True,
    "scale_logits": False,
}


@dataclass(frozen=True)
class StoredAt:
    """Where a parameter is stored: a tensor of the files, whole or its rows [first, stop)."""

    tensor: str
    rows: tuple[int, int] | None = None


def is_legacy(config: Mapping[str, Any]) -> bool:
    """Whether a config.json is in the legacy format.

    ai2-olmo wrote the type "olmo", later "hf_olmo". Of "olmo", the keys decide: transformers calls
    its own format so, too, would read such a config as one of OLMo-7B's sizes, and fill the model
    with random weights, without an error.
    """
    model_type = config.get("model_type")
    return model_type == "hf_olmo" or (model_type == "olmo" and "d_model" in config)


def config_of(raw: Mapping[str, Any], path: Path) -> Any:
    """transformers' OlmoConfig of a legacy config; a StudyError if it has no such model."""
    from transformers import OlmoConfig

    # ai2-olmo takes null like a key that is not there.
    settings = {key: value for key, value in raw.items() if value is not None}
    sizes = ("d_model", "n_heads", "n_layers", "vocab_size")
    if missing := [key for key in sizes if key not in settings]:
        raise StudyError(
            f"{path} is in the legacy OLMo format but does not say {', '.join(missing)}; "
            "fetch it again"
        )
    for key, allowed in _COMPUTED.items():
        value = settings.get(key, None if key in _REQUIRED else allowed)
        if value != allowed:
            raise StudyError(
                f"{path}: legacy OLMo with {key} = {json.dumps(value)} cannot be read, only "
                f"{key} = {json.dumps(allowed)} can; convert it to a format of transformers"
            )
    heads, one_for_all = settings["n_heads"], settings.get("multi_query_attention")
    with used_by_transformers(path):
        width = settings.get("mlp_hidden_size", settings.get("mlp_ratio", 4) * settings["d_model"])
        theta = float(settings.get("rope_theta", 10_000))
        return OlmoConfig(
            vocab_size=settings.get("embedding_size", settings["vocab_size"]),
            hidden_size=settings["d_model"],
            intermediate_size=width // 2,
            num_hidden_layers=settings["n_layers"],
            num_attention_heads=heads,
            num_key_value_heads=settings.get("n_kv_heads", 1 if one_for_all else heads),
            max_position_embeddings=settings.get("max_sequence_length", 1024),
            rope_parameters={"rope_type": "default", "rope_theta": theta},
            clip_qkv=settings.get("clip_qkv"),
            attention_dropout=settings.get("attention_dropout", 0.0),
            tie_word_embeddings=settings.get("weight_tying", True),
            pad_token_id=settings.get("pad_token_id"),
            eos_token_id=settings.get("eos_token_id"),
        )


def stored_at(config: Any) -> dict[str, StoredAt]:
    """Where the files hold each parameter of transformers' OlmoForCausalLM; its norms have none."""
    root = "model.transformer"
    hidden, inner = config.hidden_size, config.intermediate_size
    key = hidden // config.num_attention_heads * config.num_key_value_heads
    parameters = {"model.embed_tokens.weight": StoredAt(f"{root}.wte.weight")}
    if not config.tie_word_embeddings:
        parameters["lm_head.weight"] = StoredAt(f"{root}.ff_out.weight")
    for layer in range(config.num_hidden_layers):
        block = f"{root}.blocks.{layer}"
        attention, mlp = f"{block}.att_proj.weight", f"{block}.ff_proj.weight"
        maps = {
            "self_attn.q_proj": StoredAt(attention, (0, hidden)),
            "self_attn.k_proj": StoredAt(attention, (hidden, hidden + key)),
            "self_attn.v_proj": StoredAt(attention, (hidden + key, hidden + 2 * key)),
            "self_attn.o_proj": StoredAt(f"{block}.attn_out.weight"),
            "mlp.up_proj": StoredAt(mlp, (0, inner)),
            "mlp.gate_proj": StoredAt(mlp, (inner, 2 * inner)),
            "mlp.down_proj": StoredAt(f"{block}.ff_out.weight"),
        }
        for name, at in maps.items():
            parameters[f"model.layers.{layer}.{name}.weight"] = at
    return parameters
