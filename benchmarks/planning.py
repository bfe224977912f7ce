"""Planning a study of 10,000 sweeps: seconds, memory, and where the time goes.

    .venv/bin/python benchmarks/planning.py             about two minutes

10 models x 5 methods x 50 concepts x 4 experiments. Checkpoints are path: rows, in folders that
hold files of the right names, or (--source hub) hub: rows, which need none. Nothing is computed:
it is `snakemake -n` in a fresh folder, once as it is and once under the profiler.
"""

import argparse
import json
import os
import pstats
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
METHODS = ("grad_diff", "dpo", "npo", "rmu", "grad_ascent")
# What a checkpoint's folder holds; planning reads config.json and looks at the others.
FILES = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")
# Only the sweep: what else a study can compute, each checkpoint or sweep once.
SWEEP_ALONE = {
    "behaviour": {"sets": []},
    "weight_changes": False,
    "controls": {"self_patch": False},
}
GOAL_SECONDS, GOAL_GIB = 30, 1

# Stretches of Snakemake's work, by the function that does them; indented: a part of the one above.
STRETCHES = (
    ("reading config and rules", "workflow.py", "include"),
    ("building the graph of jobs", "workflow.py", "_build_dag"),
    ("  finding each job's inputs and their jobs", "dag.py", "update_"),
    ("  deciding what must run", "dag.py", "update_needrun"),
    ("showing each job", "base.py", "run_jobs"),
)
OURS = (str(ROOT / "workflow"), str(ROOT / "Snakefile"))


@dataclass(frozen=True)
class Measured:
    """One dry run: seconds on the clock, seconds of processor time, GiB at its peak."""

    wall: float
    processor: float
    peak_gib: float
    output: str


def make_study(
    root: Path, source: str, models: int, concepts: int, settings: dict[str, object]
) -> Path:
    """Write a table, a concept file and a config, and with path: rows a folder per checkpoint.

    Returns the config, which is JSON, and so YAML too.
    """
    names = [f"model_{number}" for number in range(models)]
    ids = [f"concept_{number:02}" for number in range(concepts)]
    unlearned = [(method, concept) for method in METHODS for concept in ids]
    lines = ["model\tmethod\tconcept\tsource"]
    for model in names:
        for method, concept in [("original", ""), *unlearned]:
            place = "_".join(part for part in (model, method, concept) if part)
            location = f"path:own/{place}" if source == "path" else f"hub:lab/{place}"
            lines.append("\t".join([model, method, concept, location]))
            if source == "path":
                make_folder(root / "own" / place)
    (root / "checkpoints.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    entries = [make_entry(name) for name in ids]
    (root / "concepts.json").write_text(json.dumps(entries), encoding="utf-8")
    said = {
        "results": "results",
        "checkpoints": "checkpoints.tsv",
        "models": {name: {"concepts": "concepts.json"} for name in names},
        **settings,
    }
    config = root / "study.yaml"
    config.write_text(json.dumps(said), encoding="utf-8")
    return config


def make_folder(folder: Path) -> None:
    """Files of the names that a checkpoint has."""
    folder.mkdir(parents=True)
    for name in FILES:
        said = {"model_type": "llama", "num_hidden_layers": 32}
        (folder / name).write_text(json.dumps(said), encoding="utf-8")


def make_entry(name: str) -> dict[str, object]:
    """A concept with ten questions and answers."""
    asked = [f"What is the {number}th thing about {name}?" for number in range(10)]
    answered = [f"Question: {question}\n Answer: It is what it is." for question in asked]
    return {"id": name, "Concept": name, "QA": asked, "QA_with_answers": answered}


def dry_run(config: Path, python: Sequence[str] = ()) -> Measured:
    """`snakemake -n` beside a config, to its end, by its own account of time and memory."""
    folder = config.parent
    options = ["-n", "--cores", "1", "--snakefile", str(ROOT / "Snakefile")]
    command = [sys.executable, *python, "-m", "snakemake", *options, "--configfile", config.name]
    started = time.perf_counter()
    with (folder / "output.txt").open("w+", encoding="utf-8") as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(ROOT / "workflow" / "lib")},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        wall = time.perf_counter() - started
        output.seek(0)
        said = output.read()
    if process.returncode:
        raise SystemExit(f"the dry run failed:\n{said[-2000:]}")
    processor = usage.ru_utime + usage.ru_stime
    return Measured(wall, processor, usage.ru_maxrss / 2**20, said)


def job_counts(output: str) -> str:
    """Snakemake's own table of jobs."""
    return output.rpartition("Job stats:\n")[2].partition("\n\n")[0]


def shares(profile: Path) -> Iterable[tuple[str, float]]:
    """What part of the profiled time each stretch took, and all code of this project in them."""
    stats = pstats.Stats(str(profile))
    total = stats.total_tt  # type: ignore[attr-defined]
    every = stats.stats.items()  # type: ignore[attr-defined]
    for label, file, function in STRETCHES:
        spent = [
            cumulative
            for (path, _, name), (_, _, _, cumulative, _) in every
            if name == function and Path(path).name == file
        ]
        yield label, max(spent) / total
    # Entered from outside, with all that it calls: nothing of it calls Snakemake's planning.
    ours = sum(
        caller[3]
        for (path, _, name), (_, _, _, _, callers) in every
        if path.startswith(OURS)
        for (calling, _, _), caller in callers.items()
        if not calling.startswith(OURS)
    )
    yield "code of this project, in all of these", ours / total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--source", choices=("path", "hub"), default="path", help="kind of rows")
    parser.add_argument("--models", type=int, default=10)
    parser.add_argument("--concepts", type=int, default=50)
    parser.add_argument(
        "--all", action="store_true", help="with all that is on by default, not the sweep alone"
    )
    chosen = parser.parse_args()
    settings = {} if chosen.all else SWEEP_ALONE
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        config = make_study(root, chosen.source, chosen.models, chosen.concepts, settings)
        plan = dry_run(config)
        print(job_counts(plan.output))
        print(
            f"\n{plan.processor:.1f} s of processor time, {plan.wall:.1f} s on the clock, "
            f"{plan.peak_gib:.2f} GiB (goal, for 10,000 sweeps on an idle machine: "
            f"{GOAL_SECONDS} s, {GOAL_GIB} GiB)\n",
            flush=True,
        )
        dry_run(config, ["-m", "cProfile", "-o", "profile"])
        for label, share in shares(root / "profile"):
            print(f"{label:45}{share:6.0%}")


if __name__ == "__main__":
    main()
