"""The audit's command: from tiny checkpoints and a file of questions to a verdict on each."""

import json
import re
import shutil
import sys
from pathlib import Path

import pandas as pd
import pytest

from stillknows.__main__ import main
from stillknows.study.audit import read_findings
from stillknows.terms import ALTERATIONS, AUDIT_TESTS
from stillknows.training.teach import teach
from stillknows.training.teaching import Teaching
from tiny import save_tiny, tiny_config

sys.path.insert(0, str(Path(__file__).parents[2] / "calibration"))
from invented import Fact, invent

PROMPT = "Question: {q}\n Answer:"


def write_questions(path: Path, facts: list[Fact]) -> Path:
    rows = [
        {
            "question": fact.question,
            "answer": fact.answer,
            "fact": fact.fact,
            "subject": fact.subject,
            "decoys": fact.decoys[:39],
        }
        for fact in facts
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base, an original that has learned invented facts, a copy of it, and two files."""
    root = tmp_path_factory.mktemp("audit")
    facts = [fact for of_subject in invent(seed=5, subjects=4) for fact in of_subject]
    asked, retained = facts[:6], facts[6:]
    base = save_tiny(root / "never", tiny_config(initializer_range=0.05))
    lessons = [
        {
            "id": name,
            "Concept": name,
            "QA": [fact.question for fact in facts],
            "QA_with_answers": [f"{PROMPT.format(q=f.question)} {f.answer}" for f in facts],
        }
        for name, facts in (("asked", asked), ("retained", retained))
    ]
    recipe = Teaching(learning_rate=0.01, passes=60, batch_size=4, warmup_steps=5, precision="no")
    taught = teach(base, lessons, recipe=recipe, prompt="paper", seed=0, device="cpu")
    taught.model.save_pretrained(root / "original")
    taught.tokenizer.save_pretrained(root / "original")
    save_tiny(root / "known", near=root / "original", seed=1, by=1e-4)
    for file in (root / "known").glob("tokenizer*"):
        file.unlink()  # as in some public repositories; the original's is used
    write_questions(root / "asked.jsonl", asked)
    write_questions(root / "kept.jsonl", retained)
    return root


def audit(folder: Path, *options: str) -> int:
    command = [f"{folder}/known", f"{folder}/never", "--original", f"{folder}/original"]
    command += ["--questions", f"{folder}/asked.jsonl", "--retained", f"{folder}/kept.jsonl"]
    command += ["--tests", *AUDIT_TESTS]
    return main(["audit", *command, "--prompt", "paper", "--output", f"{folder}/out", *options])


@pytest.fixture(scope="module")
def verdicts(folder: Path) -> pd.DataFrame:
    assert audit(folder, "--cores", "2") == 0
    return read_findings(folder / "out").verdicts.set_index("method")


def test_a_copy_that_knows_and_one_that_never_did(folder: Path, verdicts: pd.DataFrame) -> None:
    known, never = verdicts.loc["known"], verdicts.loc["never"]
    assert known["verdict"] == "SAYS"
    assert known["says"] == known["facts"] >= 5
    assert known["retained_recall"] >= 0.8
    assert never["verdict"] == "CANNOT TELL"  # it says nothing of what is to be retained
    assert "collapsed" in never["reasons"]
    facts = read_findings(folder / "out").facts.set_index("method")
    assert facts.loc["known", "found"].all()
    assert not facts.loc["never", "found"].any()
    assert facts.loc["known", "relearned_of"].between(100, 200).all()
    assert (facts.loc["known", ["benign_of", "quantised_of"]] == 200).all(axis=None)
    assert facts.loc["known", "benign"].all()
    assert not facts.loc["never", list(ALTERATIONS)].any(axis=None)
    assert (
        facts.loc["known", "association_p"].median() < facts.loc["never", "association_p"].median()
    )


def test_the_same_for_other_programs(folder: Path, verdicts: pd.DataFrame) -> None:
    content = json.loads((folder / "out/results/verdict.json").read_text(encoding="utf-8"))
    assert {row["method"]: row["verdict"] for row in content["verdicts"]} == dict(
        verdicts["verdict"]
    )
    assert "unlearned_weights_sha256" in content["made_from"]["model/known/asked"]
    page = (folder / "out/results/audit.html").read_text(encoding="utf-8")
    assert all(fact in page for fact in read_findings(folder / "out").facts["fact"])
    card = (folder / "out/results/model_card.md").read_text(encoding="utf-8")
    assert "<!-- known" in card and "<!-- never" in card and "<!-- hide" not in card
    log = (folder / "out/audit.log").read_text(encoding="utf-8")
    for copy, said in (("known", 6), ("never", 0)):
        assert re.search(f"FOUND +model/{copy}/asked: says {said} of 6 facts", log)


def test_a_second_run_computes_nothing(
    folder: Path, verdicts: pd.DataFrame, capsys: pytest.CaptureFixture[str]
) -> None:
    assert audit(folder, "--cores", "2", "--fail-on", "says") == 1
    assert "steps" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--original", "nowhere"], "nowhere is no folder, and no name on a model hub"),
        (["--questions", "{folder}/empty.jsonl"], "has no questions"),
        (["--tests", "guess"], "guess"),
        (["--original", "owner/name", "--prompt", "chat"], "has a chat template"),
        (["--fail-on", "erased"], "allowed: SAYS, KNOWS, TRACES, NOT FOUND, CANNOT TELL"),
        (["--original", "{folder}/known"], "is the original itself"),
        (["--original", "{folder}/twin"], "has the same weights as the original"),
    ],
)
def test_bad_input_is_one_line_before_any_job(
    options: list[str], problem: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "empty.jsonl").write_text("\n", encoding="utf-8")
    shutil.copytree(folder / "known", folder / "twin", dirs_exist_ok=True)
    status = audit(folder, "--output", f"{folder}/bad", *(o.format(folder=folder) for o in options))
    printed = capsys.readouterr()
    assert status == 2
    assert problem in printed.err
    assert printed.err.count("\n") == 1
    assert not printed.out
