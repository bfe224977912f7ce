"""How much faster is the sweep than hooks? One command, one run, ratios only.

    .venv/bin/python benchmarks/sweep.py                              the demo's size, 4 minutes
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
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from opponents import Pair, plain_hooks, prefix_hooks, prepare
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoModelForCausalLM, LlamaConfig

from dissect.checkpoints.reader import Checkpoint
from dissect.engine.flops import count_sweep
from dissect.engine.patches import EXPERIMENTS, Donor
from dissect.engine.record import record
from dissect.engine.recording import Recording, read_recording, write_recording
from dissect.engine.skeleton import Skeleton
from dissect.engine.sweep import sweep
from dissect.job import keep_freed_memory
from dissect.study.windows import Window, windows_of
from dissect.texts.spans import Text

CPU = torch.device("cpu")
REPEATS = 2  # of every way alike; the best counts
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


def make_pair(folder: Path, sizes: dict[str, Any], dtype: torch.dtype) -> tuple[Path, Path]:
    """An original with random weights, and a copy with noise on its layers."""
    torch.manual_seed(0)
    model: Any = AutoModelForCausalLM.from_config(LlamaConfig(**sizes), dtype=dtype)
    model.save_pretrained(folder / "original")
    with torch.no_grad():
        for parameter in model.model.layers.parameters():
            parameter += 0.005 * torch.randn_like(parameter)
    model.save_pretrained(folder / "unlearned")
    return folder / "original", folder / "unlearned"


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


class Bench:
    """A pair on disk for ours, in memory for the opponents, and the same texts for all."""

    def __init__(
        self, folder: Path, sizes: dict[str, Any], texts: list[Text], dtype: torch.dtype
    ) -> None:
        self.dtype = dtype
        self.texts = texts
        self.original, self.unlearned = make_pair(folder, sizes, dtype)
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

    def flops(self, name: str, windows: Sequence[Window]) -> int:
        """The floating point operations of `ours`."""
        donor = Donor(EXPERIMENTS[name], self.recording, Checkpoint(self.original))
        return count_sweep(
            Skeleton(Checkpoint(self.unlearned), self.dtype, CPU), donor, windows
        ).done

    def ours(self, name: str, windows: Sequence[Window]) -> list[list[float]]:
        """Mean squared errors [window][text], reading all weights from disk as a job does."""
        donor = Donor(EXPERIMENTS[name], self.recording, Checkpoint(self.original))
        skeleton = Skeleton(Checkpoint(self.unlearned), self.dtype, CPU)
        layers, scores = sweep(skeleton, donor, windows)
        row_of = {span: number + 1 for number, span in enumerate(layers)}
        return [
            [float(s.squared_error[row_of[w.first, w.last]].mean()) for s in scores]
            for w in windows
        ]


def timed(run: Callable[[], list[list[float]]], repeats: int = REPEATS) -> tuple[float, Any]:
    """The best of several times in seconds, and the result."""
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        result = run()
        seconds.append(time.perf_counter() - started)
    return min(seconds), np.array(result)


def timed_all(
    way: str, run: Callable[[str], list[list[float]]], repeats: int
) -> dict[str, tuple[float, Any]]:
    """The same of each experiment; says it at once, since some take minutes."""
    found = {}
    for name in EXPERIMENTS:
        found[name] = timed(partial(run, name), repeats)
        print(f"{way}, {name}: {found[name][0]:.2f} s", file=sys.stderr, flush=True)
    return found


def plain_flops(pair: Pair, windows: Sequence[Window]) -> int:
    """The floating point operations of plain hooks: of each window those of a whole forward."""
    # torch's counter does not know the CPU's fused attention; it sees each product of this one.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        plain_hooks(pair, EXPERIMENTS["value_vectors"], windows[:1])
    return len(windows) * int(counter.get_total_flops())


def compare(
    folder: Path, size: str, shape_name: str, dtype: torch.dtype, tolerance: float, repeats: int
) -> None:
    """A row per experiment: seconds of each way, ratios, and that the losses are equal."""
    shape, sizes = SHAPES[shape_name], SIZES[size]
    texts = make_texts(shape, len(shape.lengths), sizes["vocab_size"])
    bench = Bench(folder, sizes, texts, dtype)
    pair = bench.pair()
    windows = windows_of(["sliding_5"], sizes["num_hidden_layers"])
    print(
        f"\n{size}, {dtype}, {len(texts)} questions ({shape_name}), {len(windows)} windows, "
        f"{torch.get_num_threads()} threads; the best of {repeats} each"
    )
    print(
        f"{'experiment':32}{'ours s':>8}{'plain s':>9}{'prefix s':>10}"
        f"{'plain/ours':>12}{'in FLOPs':>10}{'prefix/ours':>13}"
    )
    # The hooks first: what a job of ours asks of the allocator would otherwise serve them, too.
    plain = timed_all("plain hooks", lambda n: plain_hooks(pair, EXPERIMENTS[n], windows), repeats)
    prefix = timed_all(
        "prefix hooks", lambda n: prefix_hooks(pair, EXPERIMENTS[n], windows), repeats
    )
    flops_of_plain = plain_flops(pair, windows)
    keep_freed_memory()
    ours = timed_all("ours", lambda n: bench.ours(n, windows), repeats)
    flops = {n: bench.flops(n, windows) for n in EXPERIMENTS}
    for n in EXPERIMENTS:
        report(n, ours[n][0], plain[n][0], prefix[n][0], flops_of_plain / flops[n])
        difference = np.abs(ours[n][1] / plain[n][1] - 1).max()
        if difference > tolerance:
            raise SystemExit(f"{n}: the losses differ by {difference:.1e}, so no ratio counts")
        print(f"{'':4}largest relative difference of a loss: {difference:.1e}")
    seconds = [sum(way[n][0] for n in EXPERIMENTS) for way in (ours, plain, prefix)]
    report("all four", *seconds, len(EXPERIMENTS) * flops_of_plain / sum(flops.values()))


def report(name: str, ours: float, plain: float, prefix: float, flops: float) -> None:
    """One row: seconds of each way, and how many times ours the others take."""
    print(
        f"{name:32}{ours:8.2f}{plain:9.2f}{prefix:10.2f}"
        f"{plain / ours:12.2f}{flops:10.2f}{prefix / ours:13.2f}",
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
    with tempfile.TemporaryDirectory() as folder:
        size, texts, repeats = arguments.size, arguments.texts, arguments.repeats
        compare(Path(folder), size, texts, dtype, tolerance, repeats)


if __name__ == "__main__":
    main()
