"""docs/guide.md does what it says: every file and every shell block of it, on two tiny folders."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
from tiny_study import ROOT, Run, Workflow, make

from tiny import save_tiny, tiny_config

GUIDE = (ROOT / "docs" / "guide.md").read_text(encoding="utf-8")
BLOCK = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)
LAYERS = 32  # as a model of 7 billion parameters has: windows are the guide's own


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, the file that it is the content of (or ""), and its text."""

    language: str
    title: str
    text: str


BLOCKS = [Block(*found) for found in BLOCK.findall(GUIDE)]
FILES = [block for block in BLOCKS if block.title]
COMMANDS = [block.text for block in BLOCKS if block.language == "bash"]


class Reader:
    """Somebody who follows the guide in a fresh checkout, with folders of their own."""

    def __init__(self, workflow: Workflow) -> None:
        self.workflow = workflow
        (workflow.root / "my").mkdir()
        for block in FILES:
            (workflow.root / block.title).write_text(self.with_folders(block.text), "utf-8")

    def with_folders(self, text: str) -> str:
        return text.replace("/data/", f"{self.workflow.root}/data/")

    def change(self, file: str, old: str, new: str) -> None:
        path = self.workflow.root / file
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new), encoding="utf-8")

    def types(self, command: str) -> Run:
        """Run a shell block as it stands, with the virtual environment activated."""
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        python = str(self.workflow.root / "workflow/lib")
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command],
            cwd=self.workflow.root,
            env=os.environ | {"PATH": path, "PYTHONPATH": python},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return Run(done.returncode, done.stdout)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The two folders that the guide starts from."""
    data = tmp_path_factory.mktemp("data")
    original = save_tiny(data / "original", tiny_config(num_hidden_layers=LAYERS))
    save_tiny(data / "unlearned", near=original, seed=1)
    return data


def reader_with(pair: Path, root: Path) -> Reader:
    shutil.copytree(pair, root / "data")
    return Reader(make(root))


@pytest.fixture(scope="module")
def followed(pair: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Reader, list[Run]]:
    """The guide, followed from its first block to its last."""
    reader = reader_with(pair, tmp_path_factory.mktemp("guide"))
    return reader, [reader.types(command) for command in COMMANDS]


def test_the_guide_has_only_files_and_commands() -> None:
    assert {block.title for block in FILES} == {
        "my/concepts.json",
        "my/checkpoints.tsv",
        "my/config.yaml",
    }
    assert len(BLOCKS) == len(FILES) + len(COMMANDS)
    assert GUIDE.count("```") == 2 * len(BLOCKS)


def test_every_command_does_its_work(followed: tuple[Reader, list[Run]]) -> None:
    for command, run in zip(COMMANDS, followed[1], strict=True):
        assert run.status == 0, f"{command}\n{run.output}"


def test_what_it_prints_is_what_the_guide_says(followed: tuple[Reader, list[Run]]) -> None:
    plan, study, answers, before, best, floor, weight_changes, claims, packed = (
        run.output for run in followed[1]
    )
    assert "dissect_layers" in plan and "steps (100%) done" in study
    assert "<|user|>What is molten rock below the ground called?<|end|>" in answers
    assert re.search(r"question +\n0 +\d", before), before
    for experiment in ("attention", "value_vectors", "mlp_coefficients_and_attention"):
        assert best.count(f" {experiment} ") == 2  # one of each kind of window
    # Experiments (value vectors belong to no question) x layers.
    assert floor.count(" other_question ") == 3 * 8
    assert floor.count(" noise ") == 4 * 8
    assert re.search(r"^down +\d", weight_changes, re.MULTILINE), weight_changes
    verdicts = re.findall(r"undecided|does not|holds", claims)
    assert set(verdicts) == {"undecided"}
    assert "1 concept: an interval needs 5" in claims
    assert packed.endswith("\nequal\n")


def test_the_numbers_to_read_are_there(followed: tuple[Reader, list[Run]]) -> None:
    tables = followed[0].workflow.root / "results/mine/tables"
    curves = pd.read_csv(tables / "curves.csv")
    assert set(curves["window"]) == {"sliding_5", "suffix"}
    assert set(curves["layer"]) == set(range(LAYERS))
    assert set(curves["concepts"]) == {1}
    assert curves["low"].isna().all()


def no_folder(reader: Reader) -> None:
    reader.change("my/checkpoints.tsv", "data/unlearned", "data/elsewhere")


def no_checkpoint(reader: Reader) -> None:
    reader.change("my/checkpoints.tsv", "data/unlearned", "data")


def two_sets_of_weights(reader: Reader) -> None:
    index = reader.workflow.root / "data/unlearned/model.safetensors.index.json"
    index.write_text('{"weight_map": {"a": "old.safetensors"}}', encoding="utf-8")


def another_model(reader: Reader) -> None:
    path = "data/unlearned/config.json"
    reader.change(path, '"model_type": "llama"', '"model_type": "mistral"')


def wrong_id(reader: Reader) -> None:
    reader.change("my/checkpoints.tsv", "volcanoes", "vulcanoes")


def spaces(reader: Reader) -> None:
    reader.change("my/checkpoints.tsv", "\t", "  ")


def no_comma(reader: Reader) -> None:
    reader.change("my/concepts.json", '"Volcanoes",', '"Volcanoes"')


@pytest.mark.parametrize(
    ("mistake", "said"),
    [
        (no_folder, "does not exist"),
        (no_checkpoint, "has no config.json"),
        (two_sets_of_weights, "holds both model.safetensors and"),
        (another_model, "must be a fine-tuned copy of its original"),
        (wrong_id, "is not in the concept file"),
        (spaces, "names the columns"),
        (no_comma, "is not valid JSON"),
    ],
)
def test_a_newcomers_mistake_is_one_line(
    pair: Path, tmp_path: Path, mistake: Callable[[Reader], None], said: str
) -> None:
    reader = reader_with(pair, tmp_path)
    mistake(reader)
    run = reader.types(COMMANDS[0])
    assert said in run.error
    assert said in GUIDE.partition("## If it is refused")[2]
