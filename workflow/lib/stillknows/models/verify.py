"""Is a checkpoint what its config says, and does a pair belong together?"""

import logging
from collections.abc import Iterable, Sequence

import torch

from stillknows.errors import StudyError, used_by_transformers
from stillknows.models.reader import (
    CONFIG,
    Checkpoint,
    empty_model,
    open_weights,
    read_generation_config,
    tied_tensors,
)

log = logging.getLogger("stillknows")

_ADVICE = "use the matching config.json or save the checkpoint again"


def verify_checkpoint(checkpoint: Checkpoint) -> dict[str, tuple[int, ...]]:
    """Compare tensors with what the architecture needs, look at each value; returns the shapes."""
    with used_by_transformers(checkpoint.folder / CONFIG):
        model = empty_model(checkpoint.config, torch.float32)
    tied = tied_tensors(model)
    expected = {
        name: tuple(parameter.shape)
        for name, parameter in model.named_parameters(remove_duplicate=False)
        if name not in tied
    }
    needed: dict[str, tuple[int, ...]] = {}  # shapes by the tensors' names in the files
    for name, shape in expected.items():
        at = checkpoint.where_stored(name)
        if at.rows is not None:  # one that holds several parameters has the rows of all of them
            shape = (max(at.rows[1], needed.get(at.tensor, (0,))[0]), *shape[1:])
        needed[at.tensor] = shape
    stored = checkpoint.stored
    incomplete = "the checkpoint is incomplete: download or save it again"
    for problem, names, advice in (
        ("lacks {}", needed.keys() - stored.keys(), incomplete),
        ("contains {} unexpected", stored.keys() - needed.keys(), _ADVICE),
    ):
        if names:
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            raise StudyError(
                f"{checkpoint.folder} {problem.format(len(names))} tensor(s): "
                f"{', '.join(sorted(names)[:3])}{more}; {advice}"
            )
    for name, shape in needed.items():
        if stored[name].shape != shape:
            raise StudyError(
                f"{checkpoint.folder}: tensor {name} has shape {list(stored[name].shape)}, "
                f"but its config.json says {list(shape)}; {_ADVICE}"
            )
    read_generation_config(checkpoint.folder)
    for name, tensor in stored.items():
        with open_weights(tensor.file) as weights:
            finite = bool(torch.isfinite(weights.get_tensor(name)).all())
        if not finite:
            raise StudyError(
                f"{tensor.file}: tensor {name} holds NaN or infinite values; "
                "the checkpoint is damaged or its training diverged; use another one"
            )
    return expected


def refuse_other_shapes(original: Checkpoint, unlearned: Checkpoint) -> None:
    """Refuse a pair of which one is no fine-tuned copy of the other; vocabularies may differ."""
    pair = f"{unlearned.folder} is not a fine-tuned copy of {original.folder}"
    families = [checkpoint.config.model_type for checkpoint in (original, unlearned)]
    if families[0] != families[1]:
        raise StudyError(
            f"{pair}: its family is {families[1]}, not {families[0]}; correct the source of one of "
            "them in the checkpoints table"
        )
    for name in sorted(original.shapes.keys() | unlearned.shapes.keys()):
        expected, actual = (checkpoint.shapes.get(name, ()) for checkpoint in (original, unlearned))
        # Outside the layers, embedding and head are the only matrices.
        in_layers = name.startswith(f"{original.layers_path}.")
        is_matrix = len(expected) == len(actual) == 2
        is_resized = is_matrix and not in_layers and expected[1:] == actual[1:]
        if expected != actual and not is_resized:
            raise StudyError(
                f"{pair}: {name} has shape {list(actual) or 'none'}, but "
                f"{list(expected) or 'none'} in the original; check that the two belong together"
            )


def refuse_unshared_tokens(
    original: Checkpoint, unlearned: Checkpoint, texts: Iterable[Sequence[int]]
) -> int:
    """Refuse a vocabulary that lacks a token of the texts; return how many rows both have."""
    rows = [int(checkpoint.config.vocab_size) for checkpoint in (original, unlearned)]
    highest = max(max(ids) for ids in texts)
    if highest >= min(rows):
        raise StudyError(
            f"{unlearned.folder} has a vocabulary of {rows[1]} rows, {original.folder} of "
            f"{rows[0]}, and the texts use token {highest}, which only one of them has: resize the "
            "first to the original's vocabulary, or remove it from the checkpoints table"
        )
    if rows[0] != rows[1]:
        log.info(
            f"vocabularies of {rows[0]} (original) and {rows[1]} rows: logits are compared over "
            f"the first {min(rows)}"
        )
    return min(rows)
