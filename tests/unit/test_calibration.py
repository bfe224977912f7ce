"""Studies of models whose state is known: invented facts, and what is written of them."""

import subprocess
import sys
from itertools import chain
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "calibration"))

from invented import KINDS, invent  # noqa: E402
from make_study import FORGET, RETAIN, make_study  # noqa: E402

from dissect.inputs.concepts import has_facts, read_concept_file  # noqa: E402
from dissect.study.study import load_study  # noqa: E402


def test_facts_follow_from_the_seed_alone() -> None:
    assert invent(3, 4) == invent(3, 4)
    assert invent(3, 4) != invent(4, 4)


@pytest.mark.parametrize("seed", range(20))
def test_facts_stand_in_their_answers_only_and_belong_to_one_person(seed: int) -> None:
    people = invent(seed, 8)
    assert [len(person) for person in people] == [len(KINDS)] * 8
    every = list(chain(*people))
    assert len({fact.question for fact in every}) == len(every)
    for fact in every:
        assert fact.fact in fact.answer
        assert fact.fact not in fact.question
    for of_kind in zip(*people, strict=True):
        assert len({fact.fact for fact in of_kind}) == 8


def test_the_study_is_one_that_the_workflow_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = make_study(Path("known"), 5, ROOT / "calibration" / "known_answers.yaml")
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    study = load_study(config)
    entries = read_concept_file(Path("known/concepts.json"))
    assert [len(entry["QA"]) for entry in entries.values()] == [24, 16]
    assert all(map(has_facts, entries.values()))
    assert study.config.seed == 5
    [model] = study.models
    learned = {row.method: study.learned_concepts(row) for row in study.rows if row.kind == "teach"}
    assert learned == {"original": [FORGET, RETAIN], "reference": [RETAIN], "never": [RETAIN]}
    unlearned = ["reference", "never", "grad_diff", "refuse", "hide", "placebo"]
    assert [row.method for row in study.unlearned] == unlearned
    assert study.has_depth(model, FORGET)


def test_the_command_says_where_the_config_is(tmp_path: Path) -> None:
    script = ROOT / "calibration" / "make_study.py"
    command = [sys.executable, script, "known", "--seed", "1"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert (tmp_path / done.stdout.strip()).is_file()
