"""How much faster is the sweep than hooks? One command, one run, ratios only.

    .venv/bin/python benchmarks/sweep.py        the demo's size, about 6 minutes on 2 cores

It makes a synthetic pair of the demo's shape (random weights) in a temporary folder. Run it alone
on the machine: beside another process the numbers mean nothing.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from opponents import Pair, plain_hooks, prefix_hooks, prepare
from transformers import AutoModelForCausalLM, LlamaConfig

from dissect.checkpoints.reader import Checkpoint
from dissect.engine.patches import EXPERIMENTS, Donor
from dissect.engine.record import record
from dissect.engine.recording import Recording, read_recording, write_recording
from dissect.engine.skeleton import Skeleton
from dissect.engine.sweep import sweep
from dissect.study.windows import Window, windows_of
from dissect.texts.spans import Text

CPU = torch.device("cpu")
# SmolLM2-135M, the demo's model.
SHAPE = {
    "vocab_size": 49152,
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "tie_word_embeddings": True,
}
LENGTHS = (58, 46, 52, 60, 48, 55, 63, 50, 44, 57)
COMPARED = 30


def make_pair(folder: Path, layers: int) -> tuple[Path, Path]:
    """An original with random weights, and a copy with noise on its layers."""
    torch.manual_seed(0)
    model: Any = AutoModelForCausalLM.from_config(
        LlamaConfig(**SHAPE | {"num_hidden_layers": layers}), dtype=torch.float32
    )
    model.save_pretrained(folder / "original")
    with torch.no_grad():
        for parameter in model.model.layers.parameters():
            parameter += 0.005 * torch.randn_like(parameter)
    model.save_pretrained(folder / "unlearned")
    return folder / "original", folder / "unlearned"


def make_texts(questions: int) -> list[Text]:
    """Random ids; of each text the last but one COMPARED positions are compared."""
    generator = torch.Generator().manual_seed(1)
    texts = []
    for number in range(questions):
        length = LENGTHS[number % len(LENGTHS)]
        ids = torch.randint(0, SHAPE["vocab_size"], (length,), generator=generator).tolist()
        span = range(length - COMPARED, length)
        texts.append(Text(tuple(ids), span, span))
    return texts


class Bench:
    """A pair on disk for ours, in memory for the opponents, and the same texts for all."""

    def __init__(self, folder: Path, layers: int, questions: int, dtype: torch.dtype) -> None:
        self.dtype = dtype
        self.original, self.unlearned = make_pair(folder, layers)
        self.texts = make_texts(questions)
        skeleton = Skeleton(Checkpoint(self.original), dtype, CPU)
        path = folder / "recording.safetensors"
        write_recording(path, record(skeleton, self.texts), self.texts, {})
        self.recording: Recording = read_recording(path)

    def pair(self) -> Pair:
        """The opponents' models, whole in memory."""
        models = [
            AutoModelForCausalLM.from_pretrained(folder, dtype=self.dtype).eval()
            for folder in (self.original, self.unlearned)
        ]
        return prepare(models[0], models[1], self.texts)

    def ours(self, name: str, windows: Sequence[Window]) -> list[list[float]]:
        """Mean squared errors [window][text], reading all weights from disk as a job does."""
        donor = Donor(EXPERIMENTS[name], self.recording, Checkpoint(self.original))
        skeleton = Skeleton(Checkpoint(self.unlearned), self.dtype, CPU)
        layers, scores = sweep(skeleton, donor, windows)
        row_of = {pair: number + 1 for number, pair in enumerate(layers)}
        return [
            [float(s.squared_error[row_of[w.first, w.last]].mean()) for s in scores]
            for w in windows
        ]


def timed(run: Callable[[], list[list[float]]], repeats: int = 1) -> tuple[float, Any]:
    """The best of several times in seconds, and the result."""
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        result = run()
        seconds.append(time.perf_counter() - started)
    return min(seconds), np.array(result)


def compare(folder: Path, questions: int, dtype: torch.dtype, tolerance: float) -> None:
    """A row per experiment: seconds of each way, ratios, and that the losses are equal."""
    bench = Bench(folder, SHAPE["num_hidden_layers"], questions, dtype)
    pair = bench.pair()
    windows = windows_of(["sliding_5"], SHAPE["num_hidden_layers"])
    print(
        f"\n{dtype}, {questions} questions, {len(windows)} windows, "
        f"{torch.get_num_threads()} threads"
    )
    print(
        f"{'experiment':32}{'ours s':>8}{'plain s':>9}{'prefix s':>10}"
        f"{'plain/ours':>12}{'prefix/ours':>13}{'max rel. diff':>15}"
    )
    totals = np.zeros(3)
    for name, experiment in EXPERIMENTS.items():
        ours, losses = timed(lambda name=name: bench.ours(name, windows), 2)
        plain, others = timed(lambda e=experiment: plain_hooks(pair, e, windows))
        prefix, _ = timed(lambda e=experiment: prefix_hooks(pair, e, windows))
        difference = np.abs(losses / others - 1).max()
        totals += (ours, plain, prefix)
        print(
            f"{name:32}{ours:8.2f}{plain:9.2f}{prefix:10.2f}"
            f"{plain / ours:12.2f}{prefix / ours:13.2f}{difference:15.1e}",
            flush=True,
        )
        if difference > tolerance:
            raise SystemExit(f"{name}: the losses differ by {difference:.1e}, so no ratio counts")
    ours, plain, prefix = totals
    print(
        f"{'all four':32}{ours:8.2f}{plain:9.2f}{prefix:10.2f}"
        f"{plain / ours:12.2f}{prefix / ours:13.2f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--questions", type=int, default=10)
    parser.add_argument("--bfloat16", action="store_true", help="also in bfloat16")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        compare(Path(folder), arguments.questions, torch.float32, 1e-4)
        if arguments.bfloat16:
            compare(Path(folder), arguments.questions, torch.bfloat16, 0.2)


if __name__ == "__main__":
    main()
