"""One job per experiment, or one job for all experiments of a copy: wall time and memory.

    .venv/bin/python benchmarks/jobs.py                         the demo's size, minutes
    .venv/bin/python benchmarks/jobs.py --size 7b --layers 5    LLaMA2-7B's shape, 7 GB of disk

Runs the workflow's own script on a synthetic pair, each job in a fresh process: start of Python,
imports, reading, computing, writing. What Snakemake and a scheduler add to each job comes beside.
The two ways take turns, one job at a time, and their files must be equal in every value. Run it
alone on the machine.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from string import ascii_letters
from typing import Any

import pandas as pd
import torch
from seven_billion import GIB, Memory, save_random
from seven_billion import SIZES as SEVEN_BILLION
from sweep import SHAPES, SIZES, Shape, make_pair, make_texts, save_tokenizer
from transformers import LlamaConfig

from stillknows.terms import DENOISING, EXPERIMENTS

NAMES = ("original", "unlearned")
WAYS = ("experiment", "copy")  # the values of the config key `jobs`
REPEATS = 2  # of each way; the best counts


def make_checkpoints(folder: Path, size: str, layers: int | None) -> None:
    """The pair, each with the tokenizer of letters."""
    changed = {"num_hidden_layers": layers} if layers else {}
    if size == "7b":
        for seed, name in enumerate(NAMES):
            save_random(
                folder / name, LlamaConfig(**SEVEN_BILLION | changed, dtype="bfloat16"), seed
            )
            save_tokenizer(folder / name)
    else:
        make_pair(folder, SIZES[size] | changed, torch.float32)


def make_concept(shape: Shape) -> dict[str, Any]:
    """Questions and answers of random letters, in the sizes of a shape."""
    texts = make_texts(shape, len(shape.lengths), len(ascii_letters))
    letters = ["".join(ascii_letters[number] for number in text.ids) for text in texts]
    return {
        "id": "letters",
        "Concept": "Letters",
        "QA": [text[:-answer] for text, answer in zip(letters, shape.answers, strict=True)],
        "QA_with_answers": letters,
    }


@dataclass(frozen=True)
class Study:
    """A pair, a concept and what the workflow's jobs make of them, in a folder."""

    folder: Path
    experiments: Sequence[str]

    def prepare(self) -> None:
        """Verify both checkpoints and let the original read the texts: not timed."""
        for way in WAYS:
            (self.folder / way).mkdir()
        for name in NAMES:
            concept = "" if name == "original" else "letters"
            row = {"model": "m", "method": name, "concept": concept}
            row |= {"source": f"path:{self.folder / name}"}
            self._run(
                "register_checkpoint", row=row, source=row.source, manifest=self._manifest(name)
            )
        self._run("record_original", **self._inputs())

    def sweep(self, way: str) -> tuple[float, int]:
        """All jobs of a way, one after the other: seconds, and the most memory of one in bytes."""
        started, tables = time.perf_counter(), self.tables(way)
        jobs = [tables] if way == "copy" else [[table] for table in tables]
        unlearned = {"unlearned": self._manifest("unlearned"), "windows": ["sliding_5"]}
        peak = max(
            self._run("dissect_layers", **self._inputs(), **unlearned, tables=job) for job in jobs
        )
        return time.perf_counter() - started, peak

    def tables(self, way: str) -> list[Path]:
        return [self.folder / way / f"{experiment}.parquet" for experiment in self.experiments]

    def _manifest(self, name: str) -> Path:
        return self.folder / "manifests" / name / "manifest.json"

    def _inputs(self) -> dict[str, Any]:
        """What recording and sweeping have in common."""
        return {
            "original": self._manifest("original"),
            "concept_json": self.folder / "letters.json",
            "recording": self.folder / "recording.safetensors",
            "prompt": "{q}",
            "dtype": "checkpoint",
            "device": "cpu",
        }

    def _run(self, script: str, **arguments: Any) -> int:
        """A script in a process of its own; returns its peak memory in bytes."""
        job = Path(__file__).with_name("script_job.py")
        given = [script, str(torch.get_num_threads()), json.dumps(arguments, default=str)]
        process = subprocess.Popen([sys.executable, job, *given])
        memory = Memory(process.pid)
        with memory.watched():  # until it has ended, but is still known to the system
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        if status := process.wait():
            raise SystemExit(f"{script} ended with status {status}")
        return memory.peak


def refuse_other_values(study: Study) -> None:
    """End if the files of the two ways differ in a value."""
    for tables in zip(*(study.tables(way) for way in WAYS), strict=True):
        one, other = map(pd.read_parquet, tables)
        pd.testing.assert_frame_equal(one, other, check_exact=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=[*SIZES, "7b"], default="135m", help="size of the model")
    parser.add_argument("--layers", type=int, help="fewer layers than the model has")
    parser.add_argument("--experiments", nargs="+", choices=EXPERIMENTS, default=DENOISING)
    parser.add_argument("--repeats", type=int, default=REPEATS)
    parser.add_argument("--folder", type=Path, help="folder for all files")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        study = Study(Path(name), arguments.experiments)
        make_checkpoints(study.folder, arguments.size, arguments.layers)
        concept = make_concept(SHAPES["paper" if arguments.size == "7b" else "demo"])
        (study.folder / "letters.json").write_text(json.dumps(concept), encoding="utf-8")
        study.prepare()
        runs = [{way: study.sweep(way) for way in WAYS} for _ in range(arguments.repeats)]
        refuse_other_values(study)
    print(f"{len(study.experiments)} experiments, {torch.get_num_threads()} threads")
    print(f"{'jobs':12}{'all jobs':>12}{'the best':>12}{'memory':>12}")
    best = {way: min(run[way][0] for run in runs) for way in WAYS}
    for way in WAYS:
        peak = max(run[way][1] for run in runs) / GIB
        each = " ".join(f"{run[way][0]:.1f}" for run in runs)
        print(f"{way:12}{each:>12}{best[way]:10.1f} s{peak:8.2f} GiB")
    print(f"experiment / copy: {best['experiment'] / best['copy']:.2f}")


if __name__ == "__main__":
    main()
