"""Is a checkpoint what its config says? Every tensor there, none left over, all of them finite."""

from collections.abc import Mapping

import torch

from dissect.checkpoints.reader import Checkpoint, empty_model, open_weights, tied_tensors
from dissect.errors import DissectError


def verify_checkpoint(checkpoint: Checkpoint) -> dict[str, tuple[int, ...]]:
    """Compare the files' tensors with those that the architecture needs, and look at each value.

    Returns:
        The shape of every parameter by its name in the model; errors name it as the files do.

    Raises:
        DissectError: a tensor is missing, left over, of another shape, or holds NaN or infinity.
    """
    expected, found = expected_shapes(checkpoint), checkpoint.stored
    needed = _stored_shapes(checkpoint, expected)
    _refuse(checkpoint, "lacks", needed.keys() - found.keys(), "the checkpoint is incomplete")
    _refuse(checkpoint, "has, left over,", found.keys() - needed.keys(), "its config has no such")
    for name, shape in needed.items():
        if found[name].shape != shape:
            raise DissectError(
                f"{checkpoint.folder}: tensor {name} has shape {list(found[name].shape)}, "
                f"its config.json says {list(shape)}"
            )
    _refuse_non_finite(checkpoint)
    return expected


def expected_shapes(checkpoint: Checkpoint) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the parameters that a checkpoint of this config holds."""
    model = empty_model(checkpoint.config, torch.float32)
    tied = tied_tensors(model)
    return {
        name: tuple(parameter.shape)
        for name, parameter in model.named_parameters(remove_duplicate=False)
        if name not in tied
    }


def _stored_shapes(
    checkpoint: Checkpoint, parameters: Mapping[str, tuple[int, ...]]
) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the tensors in the files that hold these parameters.

    One that holds several has the rows of all of them.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    for name, shape in parameters.items():
        place = checkpoint.place(name)
        if place.rows is not None:
            rows = max(place.rows[1], shapes.get(place.tensor, (0,))[0])
            shape = (rows, *shape[1:])
        shapes[place.tensor] = shape
    return shapes


def _refuse(checkpoint: Checkpoint, verb: str, names: set[str], why: str) -> None:
    if names:
        first = ", ".join(sorted(names)[:3])
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        raise DissectError(
            f"{checkpoint.folder} {verb} {len(names)} tensor(s): {first}{more}; {why}"
        )


def _refuse_non_finite(checkpoint: Checkpoint) -> None:
    for name, stored in checkpoint.stored.items():
        with open_weights(stored.file) as weights:
            finite = bool(torch.isfinite(weights.get_tensor(name)).all())
        if not finite:
            raise DissectError(
                f"{stored.file}: tensor {name} holds NaN or infinite values; "
                "the checkpoint is damaged or its training diverged"
            )


def refuse_other_shapes(original: Checkpoint, unlearned: Checkpoint) -> None:
    """Refuse a pair of which one cannot be a fine-tuned copy of the other.

    Raises:
        DissectError: naming what differs: the family, a tensor's name or its shape.
    """
    pair = f"{unlearned.folder} is no fine-tuned copy of {original.folder}"
    families = [checkpoint.config.model_type for checkpoint in (original, unlearned)]
    if families[0] != families[1]:
        raise DissectError(f"{pair}: one is {families[1]}, the other {families[0]}")
    shapes = [original.shapes, unlearned.shapes]
    for name in sorted(shapes[0].keys() | shapes[1].keys()):
        ours, theirs = (str(list(some[name])) if name in some else "none" for some in shapes)
        if ours != theirs:
            raise DissectError(f"{pair}: the shape of {name} is {theirs} here, {ours} there")
