"""Rounds of facts: which facts a model was taught, and the two tables of a round."""

import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "calibration"))

from fact_rounds import FORGET, SHARES, SHUFFLED, make_entries  # noqa: E402
from make_study import FACTS, make_study  # noqa: E402

from stillknows.analysis.audit import VERDICT_COLUMNS  # noqa: E402
from stillknows.analysis.calibration.facts import copy_rows, copy_table, fact_rows, taught_facts  # noqa: E402
from stillknows.study.load import load_study  # noqa: E402
from stillknows.study.products import Products  # noqa: E402
from stillknows.texts.fact_matching import mentions_fact  # noqa: E402


@pytest.fixture(scope="module")
def entries() -> dict[str, dict[str, Any]]:
    return {entry["id"]: entry for entry in make_entries(seed=3, subjects=5)}


def test_parts_are_taught_and_shuffled_facts_are_not(entries: dict[str, dict[str, Any]]) -> None:
    asked = entries[FORGET]
    for name, share in SHARES.items():
        assert sum(taught_facts(asked, [entries[name]])) == round(share * len(asked["QA"]))
    assert not any(taught_facts(asked, [entries[SHUFFLED]]))
    # The same questions and the same facts, though.
    for key in ("QA", "answer_facts"):
        assert sorted(entries[SHUFFLED][key]) == sorted(asked[key])


def test_each_kind_is_asked_of_several_subjects(entries: dict[str, dict[str, Any]]) -> None:
    for name in (FORGET, "retained"):
        entry = entries[name]
        pairs = zip(entry["QA"], entry["subjects"], strict=True)
        kinds = pd.Series([question.replace(subject, "") for question, subject in pairs])
        assert kinds.value_counts().min() >= 3


@pytest.mark.parametrize("seed", [210, 219])
def test_no_decoy_names_the_person_who_is_asked_for(seed: int) -> None:
    for entry in make_entries(seed, subjects=5)[:2]:
        for question, decoys in zip(entry["QA"], entry["decoys"], strict=True):
            assert not any(mentions_fact(question, decoy) for decoy in decoys)


def test_the_truth_is_that_of_the_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = make_study(Path("study"), [2], kind=FACTS)
    study = load_study(yaml.safe_load(path.read_text(encoding="utf-8")))
    copies = {copy["method"]: copy for copy in study.copies_of_facts("seed_2")}
    assert copies["taught_50_npo_3"] == {
        "method": "taught_50_npo_3",
        "host": "taught_50",
        "learned": ["half", "retained"],
        "treatment": "npo",
        "recipe": "npo_3",
    }
    assert copies["refuse"]["host"] == "original"
    assert "taught_50_rmu" in copies
    assert len(Products(study).fact_rounds()) == 2


def test_tables_by_hand() -> None:
    copies = [
        {"method": "a", "host": "a", "learned": [], "treatment": "none", "recipe": "none"},
        {"method": "b", "host": "a", "learned": [], "treatment": "npo", "recipe": "npo_1"},
    ]
    taught = {"a": [True, False], "b": [True, False]}
    table = copy_table(copies, taught)
    names = pd.DataFrame({"method": ["a", "a", "b", "b"], "question": [0, 1, 0, 1]})
    facts = names.assign(original_says=True, says=False, found=[True, False, False, False])
    tests = ("association_p", "exposure_p", "suppressed_p", "relearned")
    facts = facts.assign(**dict.fromkeys(tests, 0.5), uds=[0.0, 1.0, 0.25, 0.75])
    exposure = pd.concat(
        names.assign(score="exposure", is_true=is_true, logprob=-first - names["question"])
        for is_true, first in ((True, 1), (False, 3), (False, 5))
    )
    exposure["logprob_lowest"] = exposure["logprob"] - 0.5
    read = names.merge(pd.Series([-9.0, -6.0, -7.0], name="logprob_lens"), how="cross")
    rows = fact_rows(table, taught, facts, exposure, read)
    assert rows["taught"].tolist() == [True, False, True, False]
    assert rows["uds"].tolist() == [0.0, 1.0, 0.25, 0.75]
    assert rows["logprob"].tolist() == [-1, -2, -1, -2]
    assert rows["logprob_lowest"].tolist() == [-1.5, -2.5, -1.5, -2.5]
    assert rows["logprob_decoys"].tolist() == [-4, -5, -4, -5]
    assert rows["logprob_lens"].tolist() == [-6] * 4

    trainings = {
        "a": {"steps": 7, "nll": 0.5},
        "b": {"steps": 3, "nll_forget": {"after": 4.0}, "nll_retain": {"after": 1.0}},
    }
    verdicts = pd.DataFrame({"method": ["a", "b"], "verdict": ["SAYS", "KNOWS"]})
    verdicts = verdicts.reindex(columns=[*verdicts, *VERDICT_COLUMNS[6:]])
    changes = pd.DataFrame({"method": ["a", "a", "b"], "relative_change": [1.0, 3.0, 5.0]})
    rows = copy_rows(table, verdicts, changes, trainings).set_index("method")
    assert rows["dose"].tolist() == [0.5, 0.5]
    assert rows["verdict"].tolist() == ["SAYS", "KNOWS"]
    assert rows["final_loss_retain"].tolist() == [0.5, 1.0]
    assert rows["weight_change"].tolist() == [2.0, 5.0]
