"""A tiny study in a folder of its own, and the real Snakemake command line to run it."""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tiny import tiny_concept

ROOT = Path(__file__).parents[2]

# Two methods on tea, from folders; coffee is unlearned here, and has no answers. The methods keep
# tea and cocoa. Mate is in the table and the concept file, but not selected.
ROWS = [
    ("tiny", "original", "", "path:own/original"),
    ("tiny", "grad_diff", "tea", "path:own/grad_diff_tea"),
    ("tiny", "dpo", "tea", "path:own/dpo_tea"),
    ("tiny", "dpo", "coffee", "unlearn"),
    ("tiny", "dpo", "mate", "path:own/dpo_mate"),
]
CONFIG: dict[str, Any] = {
    "results": "results/tiny",
    "checkpoints": "checkpoints.tsv",
    "models": {"tiny": {"concepts": "concepts.json"}},
    "concepts": {"tiny": ["tea", "coffee"]},
    "experiments": ["attention", "value_vectors"],
    "windows": ["sliding_3"],
    "dtype": "float32",
    "device": "cpu",
    "controls": {"self_patch": False},
    "answer_tokens": 4,
    "weight_changes": False,
    "behaviour": {"sets": []},
    "unlearning": {
        "dpo": {
            "steps": 1,
            "batch_size": 1,
            "accumulation": 1,
            "max_length": 40,
            "precision": "no",
            "retain": ["tea"],
            "held_out": ["mate"],
        }
    },
}


@dataclass(frozen=True)
class Run:
    """One call of Snakemake: its exit status and all that it printed."""

    status: int
    output: str

    @property
    def jobs(self) -> dict[str, int]:
        """How many jobs of each rule a dry run has planned; {} if nothing is to be done."""
        table = re.search(r"^Job stats:\n.*\n-.*\n((?:\w+ +\d+\n)+)", self.output, re.MULTILINE)
        if table is None:
            assert "Nothing to be done" in self.output, self.output
            return {}
        counts = dict(line.split() for line in table.group(1).splitlines())
        return {rule: int(count) for rule, count in counts.items() if rule not in ("all", "total")}

    @property
    def error(self) -> str:
        """The one line that ends a call that was refused."""
        assert self.status != 0, self.output
        lines = [line for line in self.output.splitlines() if line.startswith("error: ")]
        assert len(lines) == 1, self.output
        assert "Traceback" not in self.output, self.output
        return lines[0]


@dataclass(frozen=True)
class Workflow:
    """A copy of the workflow with a study's inputs in its root."""

    root: Path

    def run(self, *options: str, config: str = "study.yaml", over: str = "") -> Run:
        """`snakemake` with the local profile and these options; `over` is laid over the config."""
        configs = [config, over] if over else [config]
        command = [sys.executable, "-m", "snakemake", "--profile", "profiles/local"]
        done = subprocess.run(
            [*command, *options, "--configfile", *configs],
            cwd=self.root,
            # The copy's package, not the installed one.
            env=os.environ | {"PYTHONPATH": str(self.root / "workflow/lib")},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return Run(done.returncode, done.stdout)

    def plan(self, *options: str, **changes: Any) -> Run:
        """A dry run of the tiny study, with some of its config changed."""
        self.write_config(**changes)
        try:
            return self.run("--dry-run", *options)
        finally:
            self.write_config()

    def write_config(self, **changes: Any) -> None:
        (self.root / "study.yaml").write_text(yaml.safe_dump(CONFIG | changes), encoding="utf-8")

    def write_table(self, rows: list[tuple[str, ...]]) -> None:
        lines = ["\t".join(row) for row in [("model", "method", "concept", "source"), *rows]]
        (self.root / "checkpoints.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")

    def result(self, path: str) -> Path:
        return self.root / "results/tiny" / path


def make(root: Path) -> Workflow:
    """A copy of the workflow in a folder, and the tiny study's config, table and concepts."""
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for folder in ("workflow", "profiles", "config"):
        shutil.copytree(ROOT / folder, root / folder, ignore=ignored)
    for name in ("Snakefile", "CITATION.cff", "LICENSE"):
        shutil.copy(ROOT / name, root)
    workflow = Workflow(root)
    workflow.write_config()
    workflow.write_table(ROWS)
    coffee = tiny_concept("coffee", 2)
    unanswered = {key: coffee[key] for key in ("id", "Concept", "QA", "wikipedia_content")}
    concepts = [tiny_concept("tea", 2), unanswered, tiny_concept("mate", 2)]
    (root / "concepts.json").write_text(json.dumps(concepts), encoding="utf-8")
    return workflow
