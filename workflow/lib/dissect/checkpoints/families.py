"""The one table of what differs between model families. Adding a family is adding a row."""

import re
from dataclasses import dataclass

from dissect.errors import DissectError


@dataclass(frozen=True)
class Family:
    """Where a decoder-only transformers model keeps the parts that the study exchanges.

    Names are module paths: `layers` from the base model, the others from one decoder layer.
    `buffers` matches tensors that some files carry although they hold no parameter.
    """

    layers: str = "layers"
    attention: str = "self_attn"
    mlp: str = "mlp"
    down: str = "down_proj"
    buffers: str = r".*\.rotary_emb\.inv_freq"

    def is_buffer(self, tensor: str) -> bool:
        return re.fullmatch(self.buffers, tensor) is not None


# By the `model_type` of config.json.
FAMILIES: dict[str, Family] = {
    "llama": Family(),
    "mistral": Family(),
    "qwen2": Family(),
}


def family_of(model_type: str) -> Family:
    """The row of a model type.

    Raises:
        DissectError: for a family that is not in the table.
    """
    if model_type not in FAMILIES:
        raise DissectError(
            f"model family {model_type!r} is not known; known are {', '.join(sorted(FAMILIES))} "
            "(a new one is a row in checkpoints/families.py)"
        )
    return FAMILIES[model_type]
