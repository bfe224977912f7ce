"""Studies of models whose state is known: invented facts, and what is written of them."""

import json
import subprocess
import sys
from itertools import chain
from pathlib import Path

import pandas as pd
import pytest
import yaml

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "calibration"))

from invented import KINDS, invent  # noqa: E402
from known_answers import known_answers  # noqa: E402
from make_study import FORGET, RETAIN, make_study  # noqa: E402

from dissect.analysis.depth import depth_summary  # noqa: E402
from dissect.inputs.concepts import has_facts, read_concept_file  # noqa: E402
from dissect.results.csv_files import write_csv  # noqa: E402
from dissect.results.schema import ANSWER_SCHEMA, write_rows  # noqa: E402
from dissect.study.study import load_study  # noqa: E402
from dissect.terms import PAPER_EXPERIMENTS  # noqa: E402
from planted_depth import planted_depth  # noqa: E402


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


def test_known_answers_are_read_from_a_studys_tables(tmp_path: Path) -> None:
    tables = tmp_path / "results" / "tables"
    tables.mkdir(parents=True)
    facts = {"people": {"Who is it?": ["Ada"], "Where is it?": ["Rome"]}}
    (tmp_path / "facts.json").write_text(json.dumps(facts), encoding="utf-8")
    answers = [
        dict.fromkeys(ANSWER_SCHEMA.names)
        | {"model": "m", "method": "hide", "origin": "own", "concept": "people", "set": "target"}
        | {"concept_name": "People", "bleu": 0.0, "rouge_l": 0.0, "answer_original": fact}
        | {"question": number, "prompt": f"Question: {question}", "answer": text}
        for number, (question, [fact]) in enumerate(facts["people"].items())
        for text in [["It is Ada.", "I don't know."][number]]
    ]
    path = tables / "answers.parquet"
    write_rows(path, pd.DataFrame(answers, columns=ANSWER_SCHEMA.names), {}, ANSWER_SCHEMA)
    # Half of the reference's damage in all of six layers.
    depth = depth_summary(planted_depth(lambda *_: 1.0, lambda *_: 2.0, method="hide"))
    write_csv(tables / "depth.csv", depth)
    curves = [
        {"method": method, "experiment": name, "span": "answer", "score": "krs", "mean": mean}
        for name in PAPER_EXPERIMENTS
        for method, means in {"hide": (0.2, 0.7, 0.4), "all": (0.9,)}.items()
        for mean in means
    ]
    write_csv(tables / "curves.csv", pd.DataFrame(curves))
    [row] = known_answers(tmp_path).to_dict("records")
    numbers = {"recall": 0.5, "uds": 0.5, "ratio": 0.5}
    peaks = dict.fromkeys([f"krs_{name}" for name in PAPER_EXPERIMENTS], 0.7)
    assert row == pytest.approx({"method": "hide"} | numbers | peaks)


def test_the_command_says_where_the_config_is(tmp_path: Path) -> None:
    script = ROOT / "calibration" / "make_study.py"
    command = [sys.executable, script, "known", "--seed", "1"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert (tmp_path / done.stdout.strip()).is_file()
