"""The legacy OLMo format, as ai2-olmo (hf_olmo) saves it, in the words of transformers.

Weights and config of the same architecture under other names: q, k and v lie in one tensor, the
MLP's two inputs in another. Nothing is converted on disk: the reader takes the rows that it needs.

Source: allenai/OLMo, olmo/config.py and olmo/model.py (names, defaults, order of the rows).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dissect.checkpoints.sizes import refuse_impossible, refuse_remainder
from dissect.errors import DissectError, used_by_transformers
from dissect.files import read_json_object

MODEL_TYPES = ("olmo", "hf_olmo")  # ai2-olmo wrote the first, later the second
_NEEDED = ("d_model", "n_heads", "n_layers", "vocab_size")
_SIZES = (
    *_NEEDED,
    "embedding_size",
    "max_sequence_length",
    "mlp_hidden_size",
    "mlp_ratio",
    "n_kv_heads",
)
# What transformers' OLMo computes, and no other: where a config says otherwise, it is refused.
# The first three must be said, since ai2-olmo's defaults are others.
_ONLY: dict[str, Any] = {
    "rope": True,
    "include_bias": False,
    "layer_norm_with_affine": False,
}
_ONLY_IF_SAID: dict[str, Any] = {
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
class Place:
    """Where a parameter lies in the files: a stored tensor, whole or from row `first` to `stop`."""

    tensor: str
    rows: tuple[int, int] | None = None


def is_legacy(config: Mapping[str, Any]) -> bool:
    """Is a config.json in the legacy format?

    By its names, since transformers calls its own format "olmo" too: it would read such a config
    as one of OLMo-7B's sizes, and fill the model with random weights (no error said).
    """
    model_type = config.get("model_type")
    return model_type == "hf_olmo" or (model_type in MODEL_TYPES and "d_model" in config)


def is_legacy_folder(folder: Path) -> bool:
    """The same of a checkpoint's folder; a folder without a config is not."""
    path = folder / "config.json"
    return path.is_file() and is_legacy(read_json_object(path))


def config_of(raw: Mapping[str, Any], path: Path) -> Any:
    """transformers' OlmoConfig of a legacy config.

    The vocabulary is `embedding_size`: logits have that many columns, more than there are tokens.

    Args:
        raw: config.json as it was read from `path`.

    Raises:
        DissectError: if a size is not said or impossible, or transformers' OLMo has no such
            architecture.
    """
    from transformers import OlmoConfig

    _refuse_the_inexpressible(raw, path)
    refuse_impossible(path, {name: raw.get(name) for name in _SIZES})
    heads = raw["n_heads"]
    refuse_remainder(path, {"d_model": raw["d_model"], "n_heads": heads})
    width = _said(raw, "mlp_hidden_size", _said(raw, "mlp_ratio", 4) * raw["d_model"])
    with used_by_transformers(path):
        return OlmoConfig(
            vocab_size=_said(raw, "embedding_size", raw["vocab_size"]),
            hidden_size=raw["d_model"],
            intermediate_size=width // 2,
            num_hidden_layers=raw["n_layers"],
            num_attention_heads=heads,
            num_key_value_heads=_said(
                raw, "n_kv_heads", 1 if raw.get("multi_query_attention") else heads
            ),
            max_position_embeddings=_said(raw, "max_sequence_length", 1024),
            rope_parameters={
                "rope_type": "default",
                "rope_theta": float(_said(raw, "rope_theta", 10_000)),
            },
            clip_qkv=raw.get("clip_qkv"),
            attention_dropout=_said(raw, "attention_dropout", 0.0),
            tie_word_embeddings=_said(raw, "weight_tying", True),
            pad_token_id=raw.get("pad_token_id"),
            eos_token_id=raw.get("eos_token_id"),
        )


def places_of(config: Any) -> dict[str, Place]:
    """The key map: where the files hold each parameter of transformers' OlmoForCausalLM.

    The norms have no parameters, and a tied head none of its own.

    Args:
        config: as `config_of` returns it.
    """
    root = "model.transformer"
    hidden, inner = config.hidden_size, config.intermediate_size
    key = hidden // config.num_attention_heads * config.num_key_value_heads
    places = {"model.embed_tokens.weight": Place(f"{root}.wte.weight")}
    if not config.tie_word_embeddings:
        places["lm_head.weight"] = Place(f"{root}.ff_out.weight")
    for layer in range(config.num_hidden_layers):
        ours, theirs = f"model.layers.{layer}", f"{root}.blocks.{layer}"
        attention, mlp = f"{theirs}.att_proj.weight", f"{theirs}.ff_proj.weight"
        places |= {
            f"{ours}.self_attn.q_proj.weight": Place(attention, (0, hidden)),
            f"{ours}.self_attn.k_proj.weight": Place(attention, (hidden, hidden + key)),
            f"{ours}.self_attn.v_proj.weight": Place(attention, (hidden + key, hidden + 2 * key)),
            f"{ours}.self_attn.o_proj.weight": Place(f"{theirs}.attn_out.weight"),
            f"{ours}.mlp.up_proj.weight": Place(mlp, (0, inner)),
            f"{ours}.mlp.gate_proj.weight": Place(mlp, (inner, 2 * inner)),
            f"{ours}.mlp.down_proj.weight": Place(f"{theirs}.ff_out.weight"),
        }
    return places


def _said(raw: Mapping[str, Any], key: str, otherwise: Any) -> Any:
    """A value of the config; ai2-olmo takes null like a key that is not there."""
    value = raw.get(key)
    return otherwise if value is None else value


def _refuse_the_inexpressible(raw: Mapping[str, Any], path: Path) -> None:
    missing = [key for key in _NEEDED if raw.get(key) is None]
    if missing:
        raise DissectError(
            f"{path} is in the legacy OLMo format but does not say {', '.join(missing)}; "
            "fetch it again"
        )
    for key, legal in (_ONLY | _ONLY_IF_SAID).items():
        value = raw.get(key)
        if value != legal and (key in _ONLY or value is not None):
            raise DissectError(
                f"{path}: legacy OLMo with {key} = {json.dumps(value)} cannot be read, only "
                f"{key} = {json.dumps(legal)} can; convert it to a format of transformers"
            )
