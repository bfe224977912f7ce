"""Record and one job at LLaMA2-7B's exact shape: memory, time, and how near the machine's limit.

    .venv/bin/python benchmarks/seven_billion.py              27 GB of disk; run it alone
    .venv/bin/python benchmarks/seven_billion.py --layers 2   a minute, to see that it works

Makes a pair with random bfloat16 weights in shards as on the hub, runs record and a dissect job per
experiment on it as the workflow's scripts do, prints what they took, and removes the pair.
"""

import argparse
import json
import logging
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from sweep import SHAPES, make_texts
from torch.utils.flop_counter import FlopCounterMode
from transformers import LlamaConfig

from stillknows.device import choose_device
from stillknows.engine.patches import EXPERIMENTS, Donor
from stillknows.engine.recording import read_recording, record, write_recording
from stillknows.engine.streamed_model import StreamedModel
from stillknows.engine.sweep import sweep
from stillknows.engine.windows import windows_of
from stillknows.job import keep_freed_memory
from stillknows.models.reader import Checkpoint, empty_model

DTYPE = torch.bfloat16
GIB = 1024**3
# meta-llama/Llama-2-7b-chat-hf.
SIZES: dict[str, Any] = {
    "vocab_size": 32000,
    "hidden_size": 4096,
    "intermediate_size": 11008,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 32,
    "max_position_embeddings": 4096,
    "rms_norm_eps": 1e-5,
    "tie_word_embeddings": False,
}
TOKENS = 4096  # of the plain product
SHARD = 5 * 10**9  # bytes, where the hub's copies are cut


@dataclass
class Memory:
    """A process's anonymous resident memory while a block runs, in bytes (Linux).

    Mapped files are left out: their pages are clean, and the kernel takes them back at need.
    """

    process: int | str = "self"  # its id
    peak: int = 0
    _done: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def watched(self) -> Iterator[None]:
        thread = threading.Thread(target=self._watch)
        thread.start()
        try:
            yield
        finally:
            self._done.set()
            thread.join()

    def _watch(self) -> None:
        while not self._done.wait(0.02):
            self.peak = max(self.peak, anonymous_memory(self.process))


def anonymous_memory(process: int | str = "self") -> int:
    """A process's resident memory that no file backs, in bytes; 0 once it has ended."""
    status = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
    sizes = [line.split()[1] for line in status.splitlines() if line.startswith("RssAnon:")]
    return 1024 * sum(map(int, sizes))


def save_random(folder: Path, config: LlamaConfig, seed: int) -> Path:
    """A checkpoint with random weights, shard by shard, with an index as the hub has it."""
    folder.mkdir()
    config.save_pretrained(folder)
    generator = torch.Generator().manual_seed(seed)
    shards: list[dict[str, torch.Tensor]] = [{}]
    names: list[list[str]] = []
    size = 0

    def close() -> None:
        save_file(shards[-1], folder / f"part-{len(names)}.safetensors", {"format": "pt"})
        names.append(list(shards[-1]))
        shards[-1] = {}

    for name, parameter in empty_model(config, DTYPE).named_parameters():
        if size + 2 * parameter.numel() > SHARD:
            close()
            size = 0
        tensor = torch.empty(parameter.shape, dtype=DTYPE)
        # As large as trained ones, so that no state overflows.
        shards[-1][name] = (
            tensor.fill_(1)
            if parameter.dim() == 1
            else tensor.normal_(0, 0.02, generator=generator)
        )
        size += 2 * parameter.numel()
    close()
    weight_map = {}
    for number, members in enumerate(names):
        file = f"model-{number + 1:05}-of-{len(names):05}.safetensors"
        (folder / f"part-{number}.safetensors").rename(folder / file)
        weight_map |= dict.fromkeys(members, file)
    index = {"metadata": {}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    return folder


@dataclass(frozen=True)
class Product:
    """FLOP/s of a plain product of the MLP's size: the fastest of several, and all in all."""

    best: float
    sustained: float


def plain_product(device: torch.device, seconds: float = 4) -> Product:
    """Multiply for some seconds: a burst tells what a processor can, not what it keeps up."""
    hidden, width = SIZES["hidden_size"], SIZES["intermediate_size"]
    one = torch.randn(TOKENS, hidden, device=device).to(DTYPE)
    other = torch.randn(width, hidden, device=device).to(DTYPE)
    taken: list[float] = []
    while sum(taken) < seconds:
        started = time.perf_counter()
        torch.nn.functional.linear(one, other)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        taken.append(time.perf_counter() - started)
    del taken[0]  # which also makes ready what the library needs
    flops = 2 * TOKENS * hidden * width
    return Product(flops / min(taken), len(taken) * flops / sum(taken))


class Steps:
    """Runs one step after the other, a plain product before and after each, and prints a row each.

    Two ratios stand in a row: to the product that was kept up just before and after the step, and
    to the fastest single product of the run so far, which nothing keeps up.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._product = plain_product(device)
        self._best = self._product.best
        print(
            f"{'':32}{'time':>8} {'memory':>10}  {'operations':>10}{'rate':>7} {'product':>9}"
            f"{'of it':>7}{'of the fastest':>16}"
        )

    def __call__(self, name: str, step: Callable[[], None]) -> None:
        """Run a step, and count its floating point operations (matrix products and attention)."""
        memory, started = Memory(), time.perf_counter()
        with memory.watched(), FlopCounterMode(display=False) as counter:
            step()
        seconds = time.perf_counter() - started
        operations = int(counter.get_total_flops())
        before, self._product = self._product, plain_product(self._device)
        kept_up = (before.sustained + self._product.sustained) / 2
        self._best = max(self._best, self._product.best)
        rate = operations / seconds
        print(
            f"{name:32}{seconds:6.1f} s {memory.peak / GIB:6.2f} GiB  {operations:10.2e}"
            f"{rate / 1e9:7.0f} {kept_up / 1e9:9.0f}{rate / kept_up:7.2f}"
            f"{rate / self._best:7.2f} of {self._best / 1e9:.0f}",
            flush=True,
        )


def run(folder: Path, layers: int, names: list[str], device: torch.device) -> None:
    config = LlamaConfig(**SIZES | {"num_hidden_layers": layers}, dtype="bfloat16")
    started = time.perf_counter()
    original = save_random(folder / "original", config, 0)
    unlearned = save_random(folder / "unlearned", config, 1)
    print(f"a pair of {layers} layers made in {time.perf_counter() - started:.0f} s")
    keep_freed_memory()  # as every job of the workflow; only now, since making the pair is none
    shape = SHAPES["paper"]
    texts = make_texts(shape, len(shape.lengths), SIZES["vocab_size"])
    windows = windows_of(["sliding_5"], layers) if layers >= 5 else windows_of(["suffix"], layers)
    print(
        f"{device}, {torch.get_num_threads()} threads, {len(texts)} texts, {len(windows)} windows; "
        f"rates in GFLOP/s; product: {TOKENS} x {SIZES['hidden_size']} x "
        f"{SIZES['intermediate_size']}"
    )
    path = folder / "recording.safetensors"

    def make_recording() -> None:
        model = StreamedModel(Checkpoint(original), DTYPE, device)
        write_recording(path, record(model, texts), texts, {})

    def dissect(name: str) -> None:
        host, recording = StreamedModel(Checkpoint(unlearned), DTYPE, device), read_recording(path)
        donor = Donor(EXPERIMENTS[name], recording, Checkpoint(original), windows)
        sweep(host, [donor], recording)

    steps = Steps(device)
    steps("record", make_recording)
    for name in names:
        steps(name, partial(dissect, name))


def needed_bytes(layers: int) -> int:
    """Disk for two checkpoints and a recording, with a tenth to spare."""
    hidden, width = SIZES["hidden_size"], SIZES["intermediate_size"]
    layer = 4 * hidden * hidden + 3 * hidden * width
    return int(1.1 * (2 * 2 * (layers * layer + 2 * SIZES["vocab_size"] * hidden) + GIB))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--layers", type=int, default=SIZES["num_hidden_layers"])
    parser.add_argument(
        "--experiment",
        nargs="+",
        choices=EXPERIMENTS,
        default=["value_vectors"],
        dest="experiments",
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda")
    parser.add_argument("--folder", type=Path, help="folder for the two checkpoints")
    parser.add_argument("--log", action="store_true", help="show the jobs' own log")
    arguments = parser.parse_args()
    if arguments.log:
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        free, needed = shutil.disk_usage(folder).free, needed_bytes(arguments.layers)
        if free < needed:
            raise SystemExit(
                f"{folder} has {free / 1e9:.0f} GB free, {needed / 1e9:.0f} GB are needed; "
                "name another folder with --folder"
            )
        run(Path(folder), arguments.layers, arguments.experiments, choose_device(arguments.device))


if __name__ == "__main__":
    main()
