"""Rotary position embeddings that depend on a text's length: how long a text may be.

Beyond its original length, such a model turns all positions of a text by other angles. Texts that
are computed together would then change each other: their common angles are those of the longest.
"""

from typing import Any

from stillknows.errors import StudyError


def refuse_long(config: Any, tokens: int) -> None:
    """Refuse a text beyond the original length of a model whose angles depend on the length.

    Args:
        config: the transformers config of the model.
        tokens: of the longest text, with its answer.

    Raises:
        StudyError: if the angles of such a text are not those of a short one.
    """
    most = _original_length(config)
    if most is not None and tokens > most:
        raise StudyError(
            f"a text has {tokens} tokens (with all that may be generated), but beyond {most} this "
            "model's rotary embedding depends on the length, so texts computed together would "
            "change each other; shorten the questions and answers, or leave the concept out"
        )


def _original_length(config: Any) -> int | None:
    """The tokens up to which angles do not depend on the length; None: they never do."""
    parameters = getattr(config, "rope_parameters", None) or {}
    # Some families have one entry per type of layer.
    entries = [parameters] if "rope_type" in parameters else parameters.values()
    lengths = []
    for entry in entries:
        kind = entry.get("rope_type") if isinstance(entry, dict) else None
        if kind == "longrope":
            lengths.append(int(entry["original_max_position_embeddings"]))
        elif kind == "dynamic":
            # transformers keeps the angles of a longer text for one of exactly this length.
            lengths.append(int(config.max_position_embeddings) - 1)
    return min(lengths, default=None)
