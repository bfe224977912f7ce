"""The most memory that plain hooks and the sweep take, each in a process of its own.

    .venv/bin/python benchmarks/memory.py                   135M, a minute on 2 cores
    .venv/bin/python benchmarks/memory.py --size 1b         needs 8 GiB

One window only: how many there are changes nothing for hooks; the sweep is given all of them.
bfloat16, six questions in the demo's sizes. Counted: anonymous memory. Not counted: mapped files,
which on a CPU hold the hooks' two models and the sweep's layer.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from opponents import plain_hooks
from seven_billion import GIB, Memory, anonymous_memory
from sweep import SHAPES, SIZES, Ours, Task, make_pair, make_texts

from stillknows.engine.patches import EXPERIMENTS
from stillknows.engine.windows import windows_of

DTYPE = torch.bfloat16
EXPERIMENT = "value_vectors"


def hooks(task: Task) -> None:
    plain_hooks(task.pair(), EXPERIMENTS[EXPERIMENT], task.windows[:1])


def ours(task: Task) -> None:
    Ours(task)(EXPERIMENT)


WAYS = {"plain hooks": hooks, "this sweep": ours}


def measure(way: str, folder: Path, size: str) -> None:
    """Run one way in this process and print what it took beyond Python and its libraries."""
    shape, sizes = SHAPES["demo"], SIZES[size]
    texts = make_texts(shape, len(shape.lengths), sizes["vocab_size"])
    task = Task(folder, texts, windows_of(["sliding_5"], sizes["num_hidden_layers"]), DTYPE)
    before, memory = anonymous_memory(), Memory()
    with memory.watched():
        WAYS[way](task)
    print(f"{size:6}{way:14}{(memory.peak - before) / GIB:8.2f} GiB", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=SIZES, default="135m")
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.way:
        measure(arguments.way, arguments.folder, arguments.size)
        return
    with tempfile.TemporaryDirectory() as folder:
        make_pair(Path(folder), SIZES[arguments.size], DTYPE)
        for way in WAYS:
            command = [sys.executable, __file__, "--size", arguments.size]
            subprocess.run([*command, "--way", way, "--folder", folder], check=True)


if __name__ == "__main__":
    main()
