"""record: the original reads the texts once, and what the study puts back is kept."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from dissect.engine.batches import Batch, batches_of
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
    batches = batches_of([len(text.ids) for text in texts])
    ids = [text.ids for text in texts]
    with skeleton.entrance() as enter:
        entries = [enter(batch.pad_ids(ids, skeleton.device)) for batch in batches]
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
            found = [state[component] for state in states]
            tensors[f"layers.{index}.{component}"] = _pack(batches, found, len(texts))
        log.info("layer %d of %d recorded", index + 1, len(skeleton.layers))
    with skeleton.exit() as head:
        rows = _rows_of_texts(batches, hidden, len(texts))
        logits = [
            head(row[None, text.compared.start : text.compared.stop])[0].cpu()
            for row, text in zip(rows, texts, strict=True)
        ]
    tensors["logits"] = torch.cat(logits)
    return tensors


def _run_layer(layer: Layer, index: int, entry: Entry, hidden: Tensor) -> dict[str, Tensor]:
    """One layer over one batch: its output and the two components, each (texts, tokens, width)."""
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


def _rows_of_texts(batches: Sequence[Batch], states: Sequence[Tensor], texts: int) -> list[Tensor]:
    """Each text's own (tokens, width), in the texts' order, padding cut off."""
    rows: dict[int, Tensor] = {}
    for batch, state in zip(batches, states, strict=True):
        for row, (member, length) in enumerate(zip(batch.members, batch.lengths, strict=True)):
            rows[member] = state[row, :length]
    return [rows[number] for number in range(texts)]


def _pack(batches: Sequence[Batch], states: Sequence[Tensor], texts: int) -> Tensor:
    """(tokens of all texts, width), on the CPU."""
    return torch.cat(_rows_of_texts(batches, states, texts)).cpu()
