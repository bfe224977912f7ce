"""Rotary position embeddings that depend on a text's length: how long a text may be.

Beyond its original length, such a model turns all positions of a text by other angles. Texts that
are computed together would then change each other: their common angles are those of the longest.
"""

from typing import Any

from stillknows.errors import StudyError


def refuse_long(config: Any, tokens: int) -> None:
    """Refuse a longest text (with its answer) beyond the model's original length."""
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
