"""How long Snakemake takes to plan a study of 10,000 cells, in what memory, and where the time goes.

    .venv/bin/python benchmarks/planning.py             about two minutes

10 models x 5 methods x 50 concepts x 4 experiments, in folders that stand for checkpoints (path:
rows) or as hub: rows, which need none. Nothing is computed: `snakemake -n` from a fresh folder.
"""

import argparse
import json
import os
import pstats
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
METHODS = ("grad_diff", "dpo", "npo", "rmu", "grad_ascent")
EXPERIMENTS = 4
# What a checkpoint's folder holds; planning reads config.json and looks at the others' times.
FILES = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")
# In this order, each stretch of the program counts where it was first entered.
GOALS = {"seconds": 30.0, "GiB": 1.0}


@dataclass(frozen=True)
class Measured:
    """One dry run: seconds on the clock, seconds of processor time, GiB at its peak."""

    wall: float
    processor: float
    peak_gib: float
    output: str


def make_study(root: Path, source: str, models: int, concepts: int) -> Path:
    """Write a table, concept files and a config; with path: rows, a folder for each checkpoint.

    Returns the config. It is in JSON, which is YAML too.
    """
    names = [f"model_{number}" for number in range(models)]
    ids = [f"concept_{number:02}" for number in range(concepts)]
    rows = [
        (model, method, concept)
        for model in names
        for method, concept in [("original", ""), *((m, c) for m in METHODS for c in ids)]
    ]
    lines = ["model\tmethod\tconcept\tsource"]
    for row in rows:
        place = "_".join(part for part in row if part)
        lines.append(
            "\t".join([*row, f"path:own/{place}" if source == "path" else f"hub:lab/{place}"])
        )
        if source == "path":
            make_folder(root / "own" / place)
    (root / "checkpoints.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (root / "concepts.json").write_text(json.dumps([entry(name) for name in ids]), encoding="utf-8")
    config = root / "study.yaml"
    said = {
        "results": "results",
        "checkpoints": "checkpoints.tsv",
        "models": {name: {"concepts": "concepts.json"} for name in names},
    }
    config.write_text(json.dumps(said), encoding="utf-8")
    return config


def make_folder(folder: Path) -> None:
    """Files of the right names."""
    folder.mkdir(parents=True)
    for name in FILES:
        (folder / name).write_text('{"num_hidden_layers": 32}', encoding="utf-8")


def entry(name: str) -> dict[str, object]:
    """A concept with ten questions and answers."""
    asked = [f"What is the {number}th thing about {name}?" for number in range(10)]
    answered = [f"Question: {question}\n Answer: It is what it is." for question in asked]
    return {"id": name, "Concept": name, "QA": asked, "QA_with_answers": answered}


def run(command: Sequence[str], folder: Path) -> Measured:
    """Run a program to its end and read its own account of time and memory."""
    started = time.perf_counter()
    with (folder / "output.txt").open("w+", encoding="utf-8") as output:
        process = subprocess.Popen(
            command, cwd=folder, env=environment(), stdout=output, stderr=subprocess.STDOUT
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        said = output.read()
    if process.returncode:
        raise SystemExit(f"the dry run failed:\n{said[-2000:]}")
    return Measured(
        wall=time.perf_counter() - started,
        processor=usage.ru_utime + usage.ru_stime,
        peak_gib=usage.ru_maxrss / 2**20,
        output=said,
    )


def environment() -> dict[str, str]:
    """This checkout's package, whatever is installed."""
    return os.environ | {"PYTHONPATH": str(ROOT / "workflow" / "lib")}


def dry_run(config: Path) -> list[str]:
    """What a user types: Snakemake's arguments."""
    return [
        "-m",
        "snakemake",
        "-n",
        "--quiet",
        "rules",
        "--cores",
        "1",
        "--snakefile",
        str(ROOT / "Snakefile"),
        "--configfile",
        config.name,
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--source", choices=("path", "hub"), default="path")
    parser.add_argument("--models", type=int, default=10)
    parser.add_argument("--concepts", type=int, default=50)
    parser.add_argument("--keep", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = arguments.keep or Path(folder)
        root.mkdir(exist_ok=True)
        config = make_study(root, arguments.source, arguments.models, arguments.concepts)
        m = run([sys.executable, *dry_run(config)], root)
        print(m.output[-2500:])
        print(m.wall, m.processor, m.peak_gib)
        m = run([sys.executable, "-m", "cProfile", "-o", "profile", *dry_run(config)], root)
        print(m.wall, m.processor, m.peak_gib)


if __name__ == "__main__":
    main()
