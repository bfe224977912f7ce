"""docs/tutorials/guide.md does what it says: its files and shell blocks, on two tiny folders."""

import json
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
from followed_page import Page, Reader
from tiny_study import Run, make

from stillknows.training.teach import teach
from stillknows.training.teaching import Teaching
from tiny import save_tiny, tiny_config

GUIDE = Page("guide.md")
LAYERS = 32  # as a model of 7 billion parameters has: windows are the guide's own


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The two folders that the guide starts from; the original has learned the guide's facts."""
    data = tmp_path_factory.mktemp("data")
    config = tiny_config(num_hidden_layers=LAYERS, initializer_range=0.05)
    base = save_tiny(tmp_path_factory.mktemp("base"), config)
    [concept] = json.loads(next(one.text for one in GUIDE.files if one.language == "json"))
    answers = [
        f"<|user|>{question}<|end|><|assistant|>{fact}."
        for question, fact in zip(concept["QA"], concept["answer_facts"], strict=True)
    ]
    recipe = Teaching(learning_rate=0.01, passes=60, batch_size=2, warmup_steps=5, precision="no")
    taught = teach(
        base,
        [concept | {"QA_with_answers": answers}],
        recipe=recipe,
        prompt="chat",
        seed=0,
        device="cpu",
    )
    taught.model.save_pretrained(data / "original")
    taught.tokenizer.save_pretrained(data / "original")
    save_tiny(data / "unlearned", near=data / "original", seed=1)
    return data


def reader_with(pair: Path, root: Path) -> Reader:
    shutil.copytree(pair, root / "data")
    return Reader(make(root), GUIDE)


@pytest.fixture(scope="module")
def followed(pair: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Reader, list[Run]]:
    """The guide, followed from its first block to its last."""
    reader = reader_with(pair, tmp_path_factory.mktemp("guide"))
    return reader, [reader.types(command) for command in GUIDE.commands]


def test_every_command_does_its_work(followed: tuple[Reader, list[Run]]) -> None:
    for command, run in zip(GUIDE.commands, followed[1], strict=True):
        assert run.status == 0, f"{command}\n{run.output}"


def test_what_it_prints_is_what_the_guide_says(followed: tuple[Reader, list[Run]]) -> None:
    plan, study, before, packed = (run.output for run in followed[1])
    assert "dissect_layers" in plan and "steps (100%) done" in study
    assert re.search(r"question +\n0 +\d", before), before
    assert packed.endswith("\nequal\n")


def test_the_numbers_to_read_are_there(followed: tuple[Reader, list[Run]]) -> None:
    results = followed[0].workflow.root / "results/mine"
    report = (results / "report.html").read_text(encoding="utf-8")
    assert "What is molten rock below the ground called?" in report
    tables = results / "tables"
    recall = pd.read_csv(tables / "recall.csv").set_index("method")
    assert recall["facts"].tolist() == [2, 2]
    assert recall.loc["original", "recall_question"] == 1
    assert recall["steps"].isna().all() and "config: recall.relearn" in report
    controls = pd.read_csv(tables / "controls.csv")
    assert set(controls["donor"]) == {"other_question", "noise"}
    assert {"mean", "original"} <= set(controls.columns)
    assert "down" in set(pd.read_csv(tables / "weight_changes.csv")["component"])
    claims = pd.read_csv(tables / "claims.csv")
    assert set(claims["verdict"]) == {"undecided"}
    assert "0 concepts decide: a decision needs 8" in " ".join(claims["note"].dropna())
    curves = pd.read_csv(tables / "curves.csv")
    assert set(curves["window"]) == {"sliding_5", "suffix"}
    assert {"attention", "value_vectors"} <= set(curves["experiment"])
    assert set(curves["layer"]) == set(range(LAYERS))
    assert set(curves["concepts"]) == {1}
    assert curves["low"].isna().all()
