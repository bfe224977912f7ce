"""Setup of a training: its device, accelerate, and deterministic kernels."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from stillknows.device import choose_device
from stillknows.errors import StudyError


@contextmanager
def accelerated(device: str, precision: str, accumulation: int) -> Iterator[Any]:
    """accelerate's Accelerator; its process-wide state is reset at the end.

    Raises:
        StudyError: for fp16 on a CPU, where accelerate would train in float32.
    """
    from accelerate import Accelerator

    on = choose_device(device)
    if precision == "fp16" and on.type == "cpu":
        raise StudyError("precision: fp16 needs a GPU; on a CPU, use bf16_mixed or no")
    # accelerate takes another device than the first only from its environment.
    os.environ["ACCELERATE_TORCH_DEVICE"] = str(on)
    accelerator = Accelerator(
        mixed_precision=precision.removesuffix("_mixed"), gradient_accumulation_steps=accumulation
    )
    try:
        yield accelerator
    finally:
        accelerator.free_memory()
        accelerator.state._reset_state(reset_partial_state=True)
        del os.environ["ACCELERATE_TORCH_DEVICE"]


@contextmanager
def deterministic(seed: int) -> Iterator[None]:
    """Deterministic kernels where torch has them, and a seed; both undone at the end."""
    # cuBLAS reads this when it starts; without it some of its products differ from run to run.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    memory: Any = torch.utils.deterministic
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        torch.use_deterministic_algorithms(True, warn_only=True)
        # It only helps debugging, and costs a pass over all new memory.
        memory.fill_uninitialized_memory = False
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(False)
