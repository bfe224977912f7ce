"""A checkpoint whose linear layers are read as if they had been saved with few bits."""

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

    def converted(
        self, name: str, tensor: Tensor, dtype: torch.dtype | None, device: torch.device | None
    ) -> Tensor:
        tensor = super().converted(name, tensor, dtype, device)
        is_rounded = name.startswith(f"{self.layers_path}.") and tensor.dim() == 2
        return rounded(tensor, self.bits) if is_rounded else tensor


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
