"""record: the original reads the texts once, and what the study puts back is kept."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from dissect.engine.packs import packs_of
from dissect.engine.recording import ATTENTION, COEFFICIENTS
from dissect.engine.skeleton import Entry, Layer, Skeleton
from dissect.texts.spans import Text

log = logging.getLogger("dissect")


@torch.inference_mode()
def record(skeleton: Skeleton, texts: Sequence[Text]) -> dict[str, Tensor]:
    """The original's coefficients, attention outputs and compared logits.

    Returns:
        The tensors that engine.recording describes, on the CPU, in the skeleton's dtype.
    """
    packs = packs_of([text.ids for text in texts])
    with skeleton.entrance() as enter:
        entries = [enter(pack) for pack in packs]
    hidden = [entry.hidden for entry in entries]
    tensors: dict[str, Tensor] = {}
    for index in range(len(skeleton.layers)):
        with skeleton.layer(index) as layer:
            states = [
                _run_layer(layer, index, entry, rows)
                for entry, rows in zip(entries, hidden, strict=True)
            ]
        hidden = [state["output"] for state in states]
        for component in (COEFFICIENTS, ATTENTION):
            found = torch.cat([state[component][0] for state in states])
            tensors[f"layers.{index}.{component}"] = found.cpu()
        log.info("layer %d of %d recorded", index + 1, len(skeleton.layers))
    with skeleton.exit() as head:
        logits = [
            head(rows[:, pack.places(member, texts[member].compared)])[0].cpu()
            for pack, rows in zip(packs, hidden, strict=True)
            for member in pack.members
        ]
    tensors["logits"] = torch.cat(logits)
    return tensors


def _run_layer(layer: Layer, index: int, entry: Entry, hidden: Tensor) -> dict[str, Tensor]:
    """One layer over one pack: its output and the two components, each (1, tokens, width)."""
    seen: dict[str, Tensor] = {}
    with _listening(layer, seen):
        output = layer(hidden, entry.arguments[index])
    return {"output": output, **seen}


@contextmanager
def _listening(layer: Layer, seen: dict[str, Tensor]) -> Iterator[None]:
    def hear_attention(_module: Any, _inputs: Any, outputs: Any) -> None:
        seen[ATTENTION] = outputs[0]

    def hear_down(_module: Any, inputs: Any) -> None:
        seen[COEFFICIENTS] = inputs[0]

    hooks = [
        layer.attention.register_forward_hook(hear_attention),
        layer.down.register_forward_pre_hook(hear_down),
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
