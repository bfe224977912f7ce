"""Where models compute, and in which number format."""

import psutil
import torch

from stillknows.errors import StudyError


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


def free_memory(device: torch.device) -> int:
    """Bytes that are free on a device; on a CPU (and mps, which shares it) the machine's."""
    if device.type == "cuda":
        free: int = torch.cuda.mem_get_info(device)[0]
        return free
    return int(psutil.virtual_memory().available)
