"""Readahead: the system is asked to read tensors that are needed soon, while others are computed.

Without it, a memory-mapped weight is read from the disk when it is first used, and the computation
waits. It is only a hint to the system: no result depends on it.
"""

import json
import os
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from threading import Thread

THREAD = "readahead of weights"
_ASKED = 1 << 19  # bytes: the kernel cuts what is asked of it at once


def readahead(wanted: Mapping[Path, set[str]]) -> None:
    """Ask for some tensors, by file; returns at once. Nothing where the system has no such call."""
    if wanted and hasattr(os, "posix_fadvise"):
        # In a thread, since asking waits where the disk is busy. It takes no processor time.
        Thread(target=_ask, args=[wanted], name=THREAD, daemon=True).start()


def _ask(wanted: Mapping[Path, set[str]]) -> None:
    with suppress(Exception), ExitStack() as stack:  # reading a broken file will say so
        for path, tensors in wanted.items():
            file = stack.enter_context(path.open("rb"))
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(length))
            for name in sorted(tensors & header.keys()):
                first, last = (8 + length + offset for offset in header[name]["data_offsets"])
                for start in range(first, last, _ASKED):
                    size = min(_ASKED, last - start)
                    os.posix_fadvise(file.fileno(), start, size, os.POSIX_FADV_WILLNEED)
