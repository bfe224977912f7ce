"""What torch's allocator on the CPU hands out while a block runs."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from torch.profiler import ProfilerActivity, profile


@dataclass
class Measured:
    """`peak`: the most bytes alive at once, beyond those that were alive before."""

    peak: int = 0


@contextmanager
def measured_peak(folder: Path) -> Iterator[Measured]:
    """Count every allocation and release, kernels' own buffers included, as the profiler sees them.

    Not counted: the files of `folder`, which are mapped into memory and not allocated (the profiler
    sees each as one allocation of the file's size), and what does not come from torch's allocator:
    NumPy's arrays, and what the mathematical libraries take for themselves.
    """
    measured = Measured()
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        yield measured
    assert profiler.profiler is not None and profiler.profiler.kineto_results is not None
    mapped = {path.stat().st_size for path in folder.rglob("*.safetensors")}
    events = [
        (event.start_ns(), event.nbytes())
        for event in profiler.profiler.kineto_results.events()
        if event.name() == "[memory]" and abs(event.nbytes()) not in mapped
    ]
    now = 0
    for _, size in sorted(events, key=lambda event: event[0]):
        now += size
        measured.peak = max(measured.peak, now)
