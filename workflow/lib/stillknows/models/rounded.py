"""A checkpoint whose linear layers are read as if they had been saved with few bits."""

from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import pad

from stillknows.models.reader import Checkpoint

BLOCK = 64  # weights that share a scale


class RoundedCheckpoint(Checkpoint):
    """A checkpoint that is read with rounded weights in its layers; embeddings and head are not.

    Zhang et al. 2025 (arXiv 2410.16454) recover unlearned texts in this way.
    """

    def __init__(self, folder: Path, bits: int) -> None:
        super().__init__(folder)
        self.bits = bits

    def read(
        self,
        names: Iterable[str],
        dtype: torch.dtype | None = None,
        device: torch.device | None = None,
    ) -> dict[str, Tensor]:
        tensors = super().read(names, dtype, device)
        for name, tensor in tensors.items():
            if name.startswith(f"{self.layers_path}.") and tensor.dim() == 2:
                tensors[name] = rounded(tensor, self.bits)
        return tensors


def rounded(weights: Tensor, bits: int) -> Tensor:
    """Weights, rounded to the nearest of 2**bits - 1 multiples of a scale.

    BLOCK weights that follow each other share the scale, with which the largest one keeps its size.

    Args:
        weights: of any shape; a last block of fewer weights counts as one.
    """
    highest = 2 ** (bits - 1) - 1
    flat = weights.float().flatten()
    blocks = pad(flat, (0, -len(flat) % BLOCK)).view(-1, BLOCK)
    scale = blocks.abs().amax(1, keepdim=True) / highest
    steps = (blocks / scale.clamp(min=torch.finfo(torch.float32).tiny)).round()
    near: Tensor = (steps * scale).flatten()[: len(flat)].view_as(weights)
    return near.to(weights.dtype)
