"""Does a noising sweep take longer than the denoising sweep of the same components?

    .venv/bin/python benchmarks/noising.py    the demo's size, about ten minutes

Both sweeps in turn, ten times: the median of the ratios of their times, and its exact interval.
Run it alone on the machine.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from scipy.stats import binom
from sweep import SHAPES, SIZES, Task, make_pair, make_texts

from stillknows import terms
from stillknows.engine.patches import EXPERIMENTS, Donor
from stillknows.engine.recording import read_recording, record, write_recording
from stillknows.engine.sweep import sweep
from stillknows.engine.windows import windows_of
from stillknows.job import keep_freed_memory

COMPONENTS = (terms.MLP_COEFFICIENTS, terms.ATTENTION, terms.BOTH)
PAIRS = 10


def sweeps_of(task: Task, component: str) -> list[Callable[[], object]]:
    """The noising and the denoising sweep of a component; recordings are made before."""
    task.record()
    recording = read_recording(task.recorded)
    path = task.folder / "copy.safetensors"
    write_recording(path, record(task.model("unlearned"), task.texts), task.texts, {})
    experiment, checkpoint = EXPERIMENTS[f"noising_{component}"], task.checkpoint("unlearned")
    copy = Donor(experiment, read_recording(path), checkpoint, task.windows)
    return [
        partial(sweep, task.model("original"), [copy], recording),
        partial(sweep, task.model("unlearned"), task.donors(component, recording), recording),
    ]


def seconds(run: Callable[[], object]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def median(ratios: list[float]) -> tuple[float, float, float]:
    """The median and its 95 % interval, between two of the ordered values."""
    ordered = np.sort(ratios)
    outside = int(binom.ppf(0.025, len(ordered), 0.5)) - 1  # values beyond each end
    return float(np.median(ordered)), float(ordered[outside]), float(ordered[-1 - outside])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=PAIRS)
    parser.add_argument("--components", nargs="+", choices=COMPONENTS, default=COMPONENTS)
    arguments = parser.parse_args()
    sizes, shape = SIZES["135m"], SHAPES["demo"]
    texts = make_texts(shape, len(shape.lengths), sizes["vocab_size"])
    windows = windows_of(["sliding_5"], sizes["num_hidden_layers"])
    keep_freed_memory()
    with tempfile.TemporaryDirectory() as folder:
        make_pair(Path(folder), sizes, torch.float32)
        task = Task(Path(folder), texts, windows, torch.float32)
        for component in arguments.components:
            noising, denoising = sweeps_of(task, component)
            noising(), denoising()  # the first ones read the weights from the disk
            ratios = [seconds(noising) / seconds(denoising) for _ in range(arguments.pairs)]
            middle, low, high = median(ratios)
            print(f"{component}: {middle:.3f} ({low:.3f}-{high:.3f})", flush=True)


if __name__ == "__main__":
    main()
