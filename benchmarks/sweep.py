"""How much faster is the sweep than hooks? Prints seconds and ratios.

    .venv/bin/python benchmarks/sweep.py                              the demo's size, 6 minutes
    .venv/bin/python benchmarks/sweep.py --bfloat16
    .venv/bin/python benchmarks/sweep.py --size 1b --texts paper --bfloat16
    .venv/bin/python benchmarks/sweep.py --peers nnsight TransformerLens   libraries, if installed

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
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from string import ascii_letters
from typing import Any

import numpy as np
import torch
from opponents import Losses, Pair, plain_hooks, prefix_hooks, prepare
from peers import (
    MODULES,
    nnsight_traces,
    refuse_missing,
    transformer_lens_hooks,
    wrap_by_nnsight,
    wrap_by_transformer_lens,
)
from tokenizers import Tokenizer, models
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoModelForCausalLM, LlamaConfig, PreTrainedTokenizerFast

from stillknows.engine.patches import EXPERIMENTS, Donor
from stillknows.engine.recording import Recording, read_recording, record, write_recording
from stillknows.engine.streamed_model import StreamedModel
from stillknows.engine.sweep import sweep
from stillknows.engine.windows import Window, windows_of
from stillknows.job import keep_freed_memory
from stillknows.models.reader import Checkpoint
from stillknows.terms import PAPER_EXPERIMENTS
from stillknows.texts.spans import Text

CPU = torch.device("cpu")
REPEATS = 2  # of every way alike; the best counts
ALL = "all of these"
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
    """An original with random weights, a copy with noise on its layers, and their tokenizer."""
    torch.manual_seed(0)
    model: Any = AutoModelForCausalLM.from_config(LlamaConfig(**sizes), dtype=dtype)
    model.save_pretrained(folder / "original")
    with torch.no_grad():
        for parameter in model.model.layers.parameters():
            parameter += 0.005 * torch.randn_like(parameter)
    model.save_pretrained(folder / "unlearned")
    for name in ("original", "unlearned"):
        save_tokenizer(folder / name)


def save_tokenizer(folder: Path) -> None:
    """A tokenizer whose tokens are single letters."""
    letters = {letter: number for number, letter in enumerate(ascii_letters)}
    tokens = Tokenizer(models.BPE(vocab=letters, merges=[]))
    PreTrainedTokenizerFast(tokenizer_object=tokens, bos_token="a", eos_token="b").save_pretrained(
        folder
    )


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

    def donors(self, name: str, recording: Recording) -> list[Donor]:
        return [Donor(EXPERIMENTS[name], recording, self.checkpoint("original"), self.windows)]


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
    """The same by hooks on whole models.

    Args:
        wrap: what makes of the unlearned model that which `run` wants.
    """

    def __init__(
        self, run: Callable[..., Losses], task: Task, wrap: Callable[[Any], Any] | None = None
    ) -> None:
        pair = task.pair()
        self._pair = replace(pair, unlearned=wrap(pair.unlearned)) if wrap else pair
        self._run, self._windows = run, task.windows

    def __call__(self, name: str) -> Losses:
        return self._run(self._pair, EXPERIMENTS[name], self._windows)


# Each lets the original read the texts when it is made, which is not timed.
WAYS: dict[str, Callable[[Task], Callable[[str], Losses]]] = {
    "ours": Ours,
    "plain hooks": partial(Hooks, plain_hooks),
    "prefix hooks": partial(Hooks, prefix_hooks),
    "nnsight": partial(Hooks, nnsight_traces, wrap=wrap_by_nnsight),
    "TransformerLens": partial(Hooks, transformer_lens_hooks, wrap=wrap_by_transformer_lens),
}
USUAL = [way for way in WAYS if way not in MODULES]


class Contest:
    """Several ways to do a task, each in a process of its own, which take turns.

    So none is served, or kept waiting, by what another one left in memory; and the machine's better
    and worse minutes fall on all.
    """

    def __init__(self, task: Task, ways: Sequence[str]) -> None:
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


def count_operations(run: Callable[[], object]) -> int:
    """The floating point operations of matrix products and attention while a function runs."""
    # torch's counter does not know the CPU's fused attention; it sees each product of this one.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        run()
    return int(counter.get_total_flops())


def operations_ratio(task: Task, names: Sequence[str]) -> dict[str, float]:
    """The floating point operations of plain hooks over those of ours, per experiment and in all.

    Plain hooks do a whole forward for each window, whatever the experiment. Ours must have run.
    """
    pair, recording = task.pair(), read_recording(task.recorded)
    host = task.model("unlearned")
    window = partial(plain_hooks, pair, EXPERIMENTS["value_vectors"], task.windows[:1])
    plain = len(task.windows) * count_operations(window)
    sweeps = {name: partial(sweep, host, task.donors(name, recording), recording) for name in names}
    done = {name: count_operations(run) for name, run in sweeps.items()}
    ratios = {name: plain / count for name, count in done.items()}
    return ratios | {ALL: len(done) * plain / sum(done.values())}


def compare(
    task: Task, ways: Sequence[str], names: Sequence[str], tolerance: float, repeats: int
) -> None:
    """A row per experiment: seconds of each way, ratios, and that the losses are equal."""
    with Contest(task, ways) as contest:
        timed = {name: contest.timed(name, repeats) for name in names}
    operations = operations_ratio(task, names)
    others = [way for way in ways if way != "ours"]
    heads = [*(f"{way} s" for way in ways), "plain/ours in FLOPs", *(f"{o} / ours" for o in others)]
    print(f"{'experiment':32}" + "".join(f"{head:>{len(head) + 2}}" for head in heads))

    def report(name: str, seconds: dict[str, float]) -> None:
        ratios = [seconds[way] / seconds["ours"] for way in others]
        values = [*seconds.values(), operations[name], *ratios]
        columns = zip(heads, values, strict=True)
        print(f"{name:32}" + "".join(f"{value:{len(head) + 2}.2f}" for head, value in columns))

    for name, of_way in timed.items():
        report(name, {way: seconds for way, (seconds, _) in of_way.items()})
        refuse_other_losses(name, {way: losses for way, (_, losses) in of_way.items()}, tolerance)
    report(ALL, {way: sum(of_way[way][0] for of_way in timed.values()) for way in ways})


def refuse_other_losses(name: str, losses: dict[str, Losses], tolerance: float) -> None:
    """End if a way has other losses than plain hooks, and say how much the losses differ."""
    plain = np.array(losses["plain hooks"])
    for way, of_way in losses.items():
        difference = np.abs(np.array(of_way) / plain - 1).max()
        if not difference <= tolerance:  # neither if it is not a number
            raise SystemExit(
                f"{name}: the losses of {way} differ from those of plain hooks by {difference:.1e} "
                f"(relative; allowed: {tolerance:g}), so its times do not count"
            )
        if way != "plain hooks":
            print(f"{'':4}{way}: largest relative difference of a loss: {difference:.1e}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=SIZES, default="135m", help="size of the model")
    parser.add_argument("--layers", type=int, help="fewer layers than the model has, to try it")
    parser.add_argument("--texts", choices=SHAPES, default="demo", help="text lengths")
    parser.add_argument("--bfloat16", action="store_true", help="in bfloat16 instead of float32")
    parser.add_argument("--repeats", type=int, default=REPEATS, help="of each way; the best counts")
    parser.add_argument("--peers", nargs="+", choices=MODULES, default=[], help="libraries")
    parser.add_argument(
        "--experiments", nargs="+", choices=PAPER_EXPERIMENTS, default=PAPER_EXPERIMENTS
    )
    arguments = parser.parse_args()
    refuse_missing(arguments.peers)
    dtype, tolerance = (torch.bfloat16, 0.2) if arguments.bfloat16 else (torch.float32, 1e-4)
    sizes, shape = dict(SIZES[arguments.size]), SHAPES[arguments.texts]
    sizes["num_hidden_layers"] = arguments.layers or sizes["num_hidden_layers"]
    texts = make_texts(shape, len(shape.lengths), sizes["vocab_size"])
    windows = windows_of(["sliding_5"], sizes["num_hidden_layers"])
    print(
        f"{arguments.size}, {dtype}, {len(texts)} questions ({arguments.texts}), {len(windows)} "
        f"windows, {torch.get_num_threads()} threads; the best of {arguments.repeats} each"
    )
    ways = [*USUAL, *arguments.peers]
    with tempfile.TemporaryDirectory() as folder:
        make_pair(Path(folder), sizes, dtype)
        task = Task(Path(folder), texts, windows, dtype)
        compare(task, ways, arguments.experiments, tolerance, arguments.repeats)


if __name__ == "__main__":
    main()
