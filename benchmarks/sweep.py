"""How much faster is the sweep than hooks? One command, one run, ratios only.

    .venv/bin/python benchmarks/sweep.py                              the demo's size, 6 minutes
    .venv/bin/python benchmarks/sweep.py --bfloat16
    .venv/bin/python benchmarks/sweep.py --size 1b --texts paper --bfloat16

It makes a synthetic pair of a model's shape (random weights) in a temporary folder, and prints
beside each ratio of times that of the floating point operations. Run it alone on the machine:
beside another process the numbers mean nothing.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from opponents import Pair, plain_hooks, prefix_hooks, prepare
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoModelForCausalLM, LlamaConfig

from dissect.checkpoints.reader import Checkpoint
from dissect.engine.operations import count_sweep
from dissect.engine.patches import EXPERIMENTS, Donor, DonorWindows
from dissect.engine.record import record
from dissect.engine.recording import Recording, read_recording, write_recording
from dissect.engine.streamed_model import StreamedModel
from dissect.engine.sweep import sweep
from dissect.inputs.windows import Window, windows_of
from dissect.job import keep_freed_memory
from dissect.terms import PAPER_EXPERIMENTS
from dissect.texts.spans import Text

CPU = torch.device("cpu")
REPEATS = 2  # of every way alike; the best counts
ALL = "all four"
Losses = list[list[float]]  # mean squared errors [window][text]
SIZES: dict[str, dict[str, Any]] = {
    # SmolLM2-135M, the demo's model.
    "135m": {
        "vocab_size": 49152,
        "hidden_size": 576,
        "intermediate_size": 1536,
        "num_hidden_layers": 30,
        "num_attention_heads": 9,
        "num_key_value_heads": 3,
        "tie_word_embeddings": True,
    },
    # TinyLlama-1.1B.
    "1b": {
        "vocab_size": 32000,
        "hidden_size": 2048,
        "intermediate_size": 5632,
        "num_hidden_layers": 22,
        "num_attention_heads": 32,
        "num_key_value_heads": 4,
        "tie_word_embeddings": False,
    },
}


@dataclass(frozen=True)
class Shape:
    """Sizes of a concept's texts, in tokens.

    `shared` says of each text how many tokens it has in common with which earlier one.
    """

    lengths: tuple[int, ...]
    answers: tuple[int, ...]
    shared: tuple[tuple[int, int], ...]


SHAPES = {
    # Harry Potter in the demo: a chat template's system message, question and answer.
    "demo": Shape(
        lengths=(70, 61, 71, 63, 61, 57),
        answers=(30, 20, 30, 23, 17, 18),
        shared=((0, 0), (0, 24), (0, 27), (0, 24), (1, 27), (1, 25)),
    ),
    # Ten questions of about the paper's sizes.
    "paper": Shape(
        lengths=(45, 51, 46, 54, 47, 47, 48, 56, 47, 46),
        answers=(19, 25, 19, 29, 20, 20, 21, 30, 20, 20),
        shared=((0, 0), *[(0, 5)] * 9),
    ),
}


def make_pair(folder: Path, sizes: dict[str, Any], dtype: torch.dtype) -> None:
    """An original with random weights, and a copy with noise on its layers."""
    torch.manual_seed(0)
    model: Any = AutoModelForCausalLM.from_config(LlamaConfig(**sizes), dtype=dtype)
    model.save_pretrained(folder / "original")
    with torch.no_grad():
        for parameter in model.model.layers.parameters():
            parameter += 0.005 * torch.randn_like(parameter)
    model.save_pretrained(folder / "unlearned")


def make_texts(shape: Shape, questions: int, vocabulary: int) -> list[Text]:
    """Random ids in the sizes of a shape, again and again if more questions are wanted."""
    generator = torch.Generator().manual_seed(1)

    def random_ids(count: int) -> tuple[int, ...]:
        return tuple(torch.randint(0, vocabulary, (count,), generator=generator).tolist())

    texts: list[Text] = []
    for number in range(questions):
        place = number % len(shape.lengths)
        length, answer = shape.lengths[place], shape.answers[place]
        earlier, shared = shape.shared[place]
        ids = texts[earlier].ids[:shared] if number else ()
        ids += random_ids(length - len(ids))
        notebook, own = range(length - answer, length), range(length - answer - 1, length - 1)
        texts.append(Text(ids, notebook, own))
    return texts


@dataclass(frozen=True)
class Task:
    """What all ways do: a folder with a pair, its texts and windows, and the number format."""

    folder: Path
    texts: list[Text]
    windows: list[Window]
    dtype: torch.dtype

    def checkpoint(self, name: str) -> Checkpoint:
        return Checkpoint(self.folder / name)

    def model(self, name: str) -> StreamedModel:
        return StreamedModel(self.checkpoint(name), self.dtype, CPU)

    def pair(self) -> Pair:
        """The opponents' models, whole in memory."""
        models = [
            AutoModelForCausalLM.from_pretrained(self.folder / name, dtype=self.dtype).eval()
            for name in ("original", "unlearned")
        ]
        return prepare(models[0], models[1], self.texts)

    @property
    def recorded(self) -> Path:
        return self.folder / "recording.safetensors"

    def record(self) -> None:
        """Let the original read the texts for ours."""
        tensors = record(self.model("original"), self.texts)
        write_recording(self.recorded, tensors, self.texts, {})

    def donors(self, name: str, recording: Recording) -> list[DonorWindows]:
        donor = Donor(EXPERIMENTS[name], recording, self.checkpoint("original"))
        return [DonorWindows(donor, self.windows)]


class Ours:
    """The sweep of an experiment by its name, reading all weights from disk as a job does."""

    def __init__(self, task: Task) -> None:
        keep_freed_memory()
        task.record()
        self._task, self._recording = task, read_recording(task.recorded)

    def __call__(self, name: str) -> Losses:
        task, recording = self._task, self._recording
        swept = sweep(task.model("unlearned"), task.donors(name, recording), recording)
        [runs] = swept.patched
        return [
            [float(scores.squared_error.mean()) for scores in runs[window.first, window.last]]
            for window in task.windows
        ]


class Hooks:
    """The same by hooks."""

    def __init__(self, run: Callable[..., Losses], task: Task) -> None:
        self._run, self._windows, self._pair = run, task.windows, task.pair()

    def __call__(self, name: str) -> Losses:
        return self._run(self._pair, EXPERIMENTS[name], self._windows)


# Each lets the original read the texts when it is made, which is not timed.
WAYS: dict[str, Callable[[Task], Callable[[str], Losses]]] = {
    "ours": Ours,
    "plain hooks": partial(Hooks, plain_hooks),
    "prefix hooks": partial(Hooks, prefix_hooks),
}


class Contest:
    """Several ways to do a task, each in a process of its own, which take turns.

    So none is served, or kept waiting, by what another one left in memory; and the machine's better
    and worse minutes fall on all.
    """

    def __init__(self, task: Task, ways: Sequence[str] = tuple(WAYS)) -> None:
        self._processes = {
            way: ProcessPoolExecutor(1, get_context("spawn"), _start, (way, task)) for way in ways
        }

    def __enter__(self) -> "Contest":
        return self

    def __exit__(self, *_exception: object) -> None:
        for process in self._processes.values():
            process.shutdown()

    def timed(self, name: str, repeats: int = REPEATS) -> dict[str, tuple[float, Losses]]:
        """Per way, the best of several times of an experiment in seconds, and the losses.

        Says each time at once, since some take minutes.
        """
        found: dict[str, tuple[float, Losses]] = {}
        for _ in range(repeats):
            for way, process in self._processes.items():
                seconds, losses = process.submit(_run, name).result()
                print(f"{way}, {name}: {seconds:.2f} s", file=sys.stderr, flush=True)
                found[way] = min(found.get(way, (seconds, losses)), (seconds, losses))
        return found


def _start(way: str, task: Task) -> None:
    global _way
    _way = WAYS[way](task)


def _run(name: str) -> tuple[float, Losses]:
    started = time.perf_counter()
    losses = _way(name)
    return time.perf_counter() - started, losses


def operations_ratio(task: Task) -> dict[str, float]:
    """The floating point operations of plain hooks over those of ours, per experiment and in all.

    Plain hooks do a whole forward for each window, whatever the experiment. Ours must have run.
    """
    pair, recording = task.pair(), read_recording(task.recorded)
    host = task.model("unlearned")
    # torch's counter does not know the CPU's fused attention; it sees each product of this one.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        plain_hooks(pair, EXPERIMENTS["value_vectors"], task.windows[:1])
    plain = len(task.windows) * int(counter.get_total_flops())
    done = {
        name: count_sweep(host, task.donors(name, recording), recording).done
        for name in PAPER_EXPERIMENTS
    }
    ratios = {name: plain / count for name, count in done.items()}
    return ratios | {ALL: len(done) * plain / sum(done.values())}


def compare(task: Task, tolerance: float, repeats: int) -> None:
    """A row per experiment: seconds of each way, ratios, and that the losses are equal."""
    with Contest(task) as contest:
        found = {name: contest.timed(name, repeats) for name in PAPER_EXPERIMENTS}
    operations = operations_ratio(task)
    print(
        f"{'experiment':32}{'ours s':>8}{'plain s':>9}{'prefix s':>10}"
        f"{'plain/ours':>12}{'in FLOPs':>10}{'prefix/ours':>13}"
    )
    for name, ways in found.items():
        report(name, *(ways[way][0] for way in WAYS), operations[name])
        ours, plain = (np.array(ways[way][1]) for way in ("ours", "plain hooks"))
        difference = np.abs(ours / plain - 1).max()
        if difference > tolerance:
            raise SystemExit(f"{name}: the losses differ by {difference:.1e}, so no ratio counts")
        print(f"{'':4}largest relative difference of a loss: {difference:.1e}")
    report(ALL, *(sum(ways[way][0] for ways in found.values()) for way in WAYS), operations[ALL])


def report(name: str, ours: float, plain: float, prefix: float, operations: float) -> None:
    """One row: seconds of each way, and how many times ours the others take."""
    print(
        f"{name:32}{ours:8.2f}{plain:9.2f}{prefix:10.2f}"
        f"{plain / ours:12.2f}{operations:10.2f}{prefix / ours:13.2f}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=SIZES, default="135m", help="of the model")
    parser.add_argument("--texts", choices=SHAPES, default="demo", help="whose sizes")
    parser.add_argument("--bfloat16", action="store_true", help="in bfloat16 instead of float32")
    parser.add_argument("--repeats", type=int, default=REPEATS, help="of each way; the best counts")
    arguments = parser.parse_args()
    dtype, tolerance = (torch.bfloat16, 0.2) if arguments.bfloat16 else (torch.float32, 1e-4)
    sizes, shape = SIZES[arguments.size], SHAPES[arguments.texts]
    texts = make_texts(shape, len(shape.lengths), sizes["vocab_size"])
    windows = windows_of(["sliding_5"], sizes["num_hidden_layers"])
    print(
        f"{arguments.size}, {dtype}, {len(texts)} questions ({arguments.texts}), {len(windows)} "
        f"windows, {torch.get_num_threads()} threads; the best of {arguments.repeats} each"
    )
    with tempfile.TemporaryDirectory() as folder:
        make_pair(Path(folder), sizes, dtype)
        compare(Task(Path(folder), texts, windows, dtype), tolerance, arguments.repeats)


if __name__ == "__main__":
    main()
