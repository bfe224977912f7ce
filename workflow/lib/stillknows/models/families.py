"""The one table of what differs between model families. Adding a family is adding a row."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from stillknows.errors import StudyError

# The parts of a decoder layer's weights; each parameter belongs to one. value_vectors: the weight
# of the down projection. gate_and_up: all else of the MLP, but not the bias of the down projection.
# attention: all of the attention module, its norms of queries and keys too. norms: all else.
LayerPart = Literal["attention", "gate_and_up", "value_vectors", "down_bias", "norms"]
LAYER_PARTS: tuple[LayerPart, ...] = get_args(LayerPart)

_APART = {
    "self_attn.q_proj": ("q",),
    "self_attn.k_proj": ("k",),
    "self_attn.v_proj": ("v",),
    "self_attn.o_proj": ("o",),
    "mlp.gate_proj": ("gate",),
    "mlp.up_proj": ("up",),
    "mlp.down_proj": ("down",),
}


@dataclass(frozen=True)
class Family:
    """Where a decoder-only transformers model keeps the parts that the study exchanges.

    Names are module paths: `layers` from `base` on, the others from one decoder layer on.
    """

    base: str = "model"  # the model without its head
    layers: str = "layers"
    attention: str = "self_attn"
    mlp: str = "mlp"
    down: str = "down_proj"
    # Linear maps, and the components whose rows lie in each, in that order.
    maps: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: _APART)
    by_head: bool = False  # q, k and v in one map: all three of a head, then those of the next
    # What the files call otherwise: {name in the model: name in the file}.
    stored: Mapping[str, str] = field(default_factory=dict)
    # Matches tensors that some files carry although they hold no parameter.
    buffers: str = r".*\.rotary_emb\.inv_freq"

    def part_of(self, parameter: str) -> LayerPart:
        """The part of a layer to which a parameter belongs, by its name inside the layer."""
        if parameter.startswith(f"{self.attention}."):
            return "attention"
        if parameter.startswith(f"{self.mlp}.{self.down}."):
            return "value_vectors" if parameter.endswith(".weight") else "down_bias"
        return "gate_and_up" if parameter.startswith(f"{self.mlp}.") else "norms"


# By the `model_type` of config.json.
FAMILIES: dict[str, Family] = {
    "gemma2": Family(),
    "gemma3_text": Family(),
    "gpt_neox": Family(
        base="gpt_neox",
        attention="attention",
        down="dense_4h_to_h",
        maps={
            "attention.query_key_value": ("q", "k", "v"),
            "attention.dense": ("o",),
            "mlp.dense_h_to_4h": ("up",),
            "mlp.dense_4h_to_h": ("down",),
        },
        by_head=True,
        stored={"lm_head.weight": "embed_out.weight"},
        buffers=r".*\.(rotary_emb\.inv_freq|attention\.bias|attention\.masked_bias)",
    ),
    "llama": Family(),
    "mistral": Family(),
    "olmo": Family(),  # its legacy format too, see olmo_legacy.py
    "olmo2": Family(),
    "olmo3": Family(),
    "phi3": Family(
        maps={
            "self_attn.qkv_proj": ("q", "k", "v"),
            "self_attn.o_proj": ("o",),
            "mlp.gate_up_proj": ("gate", "up"),
            "mlp.down_proj": ("down",),
        }
    ),
    "qwen2": Family(),
    "qwen3": Family(),
    "smollm3": Family(),
}


def family_of(model_type: str) -> Family:
    """The row of a model type; a StudyError if it is not in the table."""
    if model_type not in FAMILIES:
        raise StudyError(
            f"model family {model_type!r} is not known; known are {', '.join(sorted(FAMILIES))} "
            "(a new one is a row in models/families.py)"
        )
    return FAMILIES[model_type]
