"""record: the original reads the texts once, and what the study puts back is kept."""

import logging
from collections.abc import Sequence

import torch
from torch import Tensor

from dissect.engine.flops import count_record, timed
from dissect.engine.packs import Pack, packs_of
from dissect.engine.plan import plan_record
from dissect.engine.skeleton import ATTENTION, COEFFICIENTS, Entry, Layer, Skeleton
from dissect.texts.spans import Text

log = logging.getLogger("dissect")


@torch.inference_mode()
def record(
    skeleton: Skeleton, texts: Sequence[Text], budget: int | None = None
) -> dict[str, Tensor]:
    """The original's coefficients, attention outputs and compared logits.

    Args:
        budget: bytes of memory that tensors may take; None: no bound.

    Returns:
        The tensors that engine.recording describes, on the CPU, in the skeleton's dtype.

    Raises:
        DissectError: if the budget is too small.
    """
    packs = packs_of([text.ids for text in texts])
    plan_record(skeleton, packs, texts, budget)
    with skeleton.entrance() as enter:
        entries = [enter(pack) for pack in packs]
    with timed(count_record(skeleton, texts)):
        return _read(skeleton, packs, entries, texts)


def _read(
    skeleton: Skeleton, packs: Sequence[Pack], entries: Sequence[Entry], texts: Sequence[Text]
) -> dict[str, Tensor]:
    """Take all packs up the stack, one layer's weights at a time."""
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
    with layer.heard() as heard:
        output = layer(hidden, entry.arguments[index])
    return {"output": output, **heard}
