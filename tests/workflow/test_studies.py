"""Studies of public checkpoints: concept files, plans and comparisons, on planted data."""

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
from tiny_study import ROOT, make

from stillknows.__main__ import main
from stillknows.study import audit
from stillknows.texts.questions import read_questions

STUDY = ROOT / "studies" / "tofu-1b"
ITEMS = [
    (
        "What is the full name of the poet from Ombrey?",
        "The name is Ilsa Maria Varn.",
        "Ilsa Maria Varn",
    ),
    (
        "Which prize did Ilsa Maria Varn win?",
        "Ilsa Maria Varn won the Copper Quill.",
        "Copper Quill",
    ),
    ("Where does Varn live?", "Varn lives in Nether Cup.", "Nether Cup"),
    ("Does Ilsa Maria Varn keep goats?", "Ilsa keeps goats.", "goats"),
    ("Who taught Ilsa Maria Varn?", "Ilsa was taught by Ada Holm.", "Ada Holm"),
]


def module(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"tofu_{name}", STUDY / f"{name}.py")
    assert spec and spec.loader
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A file like that of UDS's authors, about one author."""
    items = [
        {"idx": number, "question": question, "answer": answer, "entity": fact}
        for number, (question, answer, fact) in enumerate(ITEMS)
    ]
    path = tmp_path / "facts.json"
    path.write_text(json.dumps(items), encoding="utf-8")
    return path


def test_the_facts_and_whom_they_are_about(data: Path) -> None:
    made, items = module("make"), json.loads(data.read_text(encoding="utf-8"))
    assert made.authors(items) == {0: "Ilsa Maria Varn"}
    asked = [made.question_of(item, "Ilsa Maria Varn") for item in items]
    # The first name alone stands before the last fact, and the fourth fact is in its question.
    assert [row and row.subject for row in asked] == [None, "Ilsa Maria Varn", "Varn", None, None]
    assert [row is None for row in asked] == [False, False, False, True, False]


def test_another_file_is_refused(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["make.py", "--data", str(data)])
    monkeypatch.chdir(data.parent)
    with pytest.raises(SystemExit, match="another SHA-256"):
        module("make").main()


def test_the_study_is_planned_for_all_models(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workflow = make(tmp_path / "copy")
    (workflow.root / "studies").symlink_to(ROOT / "studies")
    made = module("make")
    monkeypatch.setattr(made, "SHA256", made.pooch.file_hash(str(data)))
    monkeypatch.setattr(sys, "argv", ["make.py", "--data", str(data)])
    monkeypatch.chdir(workflow.root)
    made.main()
    assert len(read_questions(made.QUESTIONS)) == 4
    jobs = workflow.run("--dry-run", config="studies/tofu-1b/config.yaml").jobs
    copies = 1 + 8 + 60
    assert jobs["download_checkpoint"] == jobs["measure_exposure"] == copies + 1
    assert jobs["dissect_copy"] == jobs["measure_depth"] == copies
    assert jobs["release_checkpoint"] == copies + 1


def test_a_comparison_with_the_published_numbers() -> None:
    compare = module("compare")
    published = pd.read_csv(STUDY / "published.csv")
    methods = [*published["method"], "pos_a", "pos_b", "neg_a"]
    values = np.r_[published["uds"] + 0.01, 0.2, 0.3, 0.9]
    forms = ("published", "corrected")
    uds = pd.concat(
        pd.DataFrame({"method": methods, "form": form, "uds": values, "question": np.nan})
        for form in forms
    )
    assert np.allclose(compare.beside_published(uds)["difference"], 0.01)
    facts = pd.DataFrame({"method": methods, "says": False, "exposure_p": 0.5})
    facts["association_p"] = [0.5] * len(published) + [0.01, 0.5, 0.5]
    aucs = compare.auc_of_pools(compare.scores(uds, facts))
    assert aucs["uds_published"] == 1
    assert aucs["association"] == 0.75
    assert aucs["answers"] == 0.5


@pytest.mark.parametrize("study", ["tofu-1b", "tofu-8b"])
def test_a_benchmark_brings_all_but_the_copy(
    study: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "studies").symlink_to(ROOT / "studies")
    monkeypatch.setattr(audit, "PROJECT", tmp_path)
    command = ["audit", "owner/copy", "--output", f"{tmp_path}/out", "--benchmark"]
    assert main([*command, study]) == 2
    assert "studies/tofu-1b/make.py" in capsys.readouterr().err
    assert main([*command, "tofu-2b"]) == 2
    assert "tofu-1b" in capsys.readouterr().err
    questions = tmp_path / "results/tofu-1b/questions.jsonl"
    questions.parent.mkdir(parents=True)
    row = {"question": "What does Ann Bell grow?", "answer": "Green tea.", "subject": "Ann Bell"}
    questions.write_text(json.dumps(row), encoding="utf-8")
    monkeypatch.setattr(audit, "run", lambda *_, **__: iter(()))
    assert main([*command, study, "--plan"]) == 0
    table = pd.read_csv(tmp_path / "out/study/checkpoints.tsv", sep="\t")
    assert table["method"].tolist() == ["original", "reference", "copy"]
    assert table["source"].str.startswith("hub:").all()
