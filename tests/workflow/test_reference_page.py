"""docs/tutorials/reference-study.md does what it says: its files and blocks, on tiny models."""

import re
import shutil

import pandas as pd
import pytest
from followed_page import Page, Reader
from tiny_study import Run, make

from golden_uds import CHECKPOINTS

PAGE = Page("reference-study.md")
FOLDERS = {
    "full": "original",
    "retain90": "grad_diff_901",
    "npo": "dpo_901",
    "grad_diff": "grad_diff_902",
}


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Reader, list[Run]]:
    """The page, followed from its first block to its last."""
    root = tmp_path_factory.mktemp("reference")
    for name, checkpoint in FOLDERS.items():
        shutil.copytree(CHECKPOINTS / checkpoint, root / "data" / name)
    reader = Reader(make(root), PAGE)
    return reader, [reader.types(command) for command in PAGE.commands]


def test_every_command_does_its_work(followed: tuple[Reader, list[Run]]) -> None:
    for command, run in zip(PAGE.commands, followed[1], strict=True):
        assert run.status == 0, f"{command}\n{run.output}"


def test_the_numbers_to_read_are_there(followed: tuple[Reader, list[Run]]) -> None:
    tables = followed[0].workflow.root / "results/tofu/tables"
    depth = pd.read_parquet(tables / "depth.parquet")
    assert len(depth) == 2 * 3 * 32  # copies x questions x layers
    uds = pd.read_csv(tables / "uds.csv")
    assert uds.groupby("method")["uds"].count().min() > 1  # the mean, and a question's
    reference = pd.read_csv(tables / "reference.csv")
    assert set(reference["score"]) >= {"krs", "damage"}
    assert reference["reference"].notna().any()


def test_the_figures_that_it_names_are_drawn(followed: tuple[Reader, list[Run]]) -> None:
    names = re.findall(r"`(figures/tofu/\S+\.png)`", PAGE.text)
    assert len(names) == 3
    for name in names:
        assert (followed[0].workflow.root / "results/tofu" / name).is_file(), name
