"""Where models compute, and in which number format."""

import logging

import psutil
import torch

from stillknows.errors import StudyError

log = logging.getLogger("stillknows")


def choose_device(wanted: str) -> torch.device:
    """The device of a config's `device`: auto takes a GPU if any. A StudyError if it is absent."""
    if wanted == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(wanted)
    available = {
        "cpu": True,
        "cuda": torch.cuda.is_available() and (device.index or 0) < torch.cuda.device_count(),
        "mps": torch.backends.mps.is_available(),
    }
    if not available.get(device.type, False):
        raise StudyError(f"device: {wanted} is not available on this machine; use auto or cpu")
    return device


def choose_dtype(wanted: str, saved: str) -> torch.dtype:
    """The number format of a config's `dtype`: `checkpoint` means as it was saved."""
    dtype: torch.dtype = getattr(torch, saved if wanted == "checkpoint" else wanted)
    return dtype


def training_dtype(precision: str) -> torch.dtype:
    """The number format of the weights that a recipe trains: bf16 trains bfloat16, else float32."""
    return torch.bfloat16 if precision == "bf16" else torch.float32


def refuse_too_large(needed: int, device: torch.device, what: str, remedy: str) -> None:
    """Log what needs how many bytes of memory; a StudyError if the device has less free."""
    free = free_memory(device)
    message = f"{what} needs about {needed / 1e9:.1f} GB; {device} has {free / 1e9:.1f} GB free"
    if needed > free:
        raise StudyError(f"{message}: {remedy}")
    log.info(message)


def free_memory(device: torch.device) -> int:
    """Bytes that are free on a device; on a CPU (and mps, which shares it) the machine's."""
    if device.type == "cuda":
        free: int = torch.cuda.mem_get_info(device)[0]
        return free
    return int(psutil.virtual_memory().available)
