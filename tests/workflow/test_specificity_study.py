"""Sweeps on unrelated questions, by the real command line."""

import json
import shutil

import pandas as pd
import pytest
from tiny_study import ROWS, Workflow, make

from stillknows.csv_files import read_csv
from tiny import save_tiny, tiny_concept

UNRELATED = [" What is a stone?\n", " What is rain?\n", " What is sand?\n"]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Workflow:
    workflow = make(tmp_path_factory.mktemp("specificity"))
    original = save_tiny(workflow.root / "own/original")
    for seed, concept in enumerate(("tea", "mate"), start=1):
        save_tiny(workflow.root / f"own/dpo_{concept}", near=original, seed=seed)
    workflow.write_table([ROWS[0], ROWS[2], ROWS[4]])
    concepts = [tiny_concept("tea", 2) | {"unrelated_QA": UNRELATED}, tiny_concept("mate", 2)]
    (workflow.root / "concepts.json").write_text(json.dumps(concepts), encoding="utf-8")
    workflow.write_config(
        concepts={"tiny": ["tea", "mate"]},
        experiments=["attention", "value_vectors", "noising_attention"],
        specificity=True,
    )
    run = workflow.run("tables")
    assert run.status == 0, run.output
    return workflow


def test_the_table_compares_both_sweeps(study: Workflow) -> None:
    rows = read_csv(study.result("tables/specificity.csv"), concept="tea", score="krs")
    assert set(rows["experiment"]) == {"attention", "value_vectors"}
    keys = ["experiment", "window", "span", "layer"]
    for column, folder in (("target", "krs"), ("unrelated", "krs_unrelated")):
        of_sweep = pd.read_parquet(study.result(f"{folder}/tiny/dpo/tea/attention.parquet"))
        means = of_sweep.groupby(keys, observed=True)["krs"].mean()
        ours = rows[rows["experiment"] == "attention"].set_index(keys)[column]
        assert len(ours) == len(means) == 6 * 2
        for key, value in ours.items():
            assert value == pytest.approx(means[key], rel=1e-8)
    assert (rows["difference"] - (rows["target"] - rows["unrelated"])).abs().max() < 1e-8
    assert rows["difference"].abs().max() > 0
    means = read_csv(study.result("tables/specificity.csv"), concept="", method="all")
    assert (means["n_concepts"] == 2).all()


def test_longer_answers_sweep_the_unrelated_questions_again(study: Workflow) -> None:
    path = study.root / "study.yaml"
    before = path.read_text(encoding="utf-8")
    assert study.run("--dry-run", "tables").jobs == {}
    path.write_text(before.replace("answer_tokens: 4", "answer_tokens: 5"), encoding="utf-8")
    try:
        jobs = study.run("--dry-run", "tables").jobs
        # In a folder without Snakemake's record, what was kept is refused by its content.
        record, aside = study.root / ".snakemake", study.root / "snakemake.aside"
        record.rename(aside)
        refused = study.run("tables")
        shutil.rmtree(record)
        aside.rename(record)
    finally:
        path.write_text(before, encoding="utf-8")
    repeated = ("answer_questions", "record_original", "dissect_unrelated")
    assert {rule: jobs.get(rule) for rule in repeated} == dict.fromkeys(repeated, 2)
    assert "dissect_layers" not in jobs
    assert refused.status != 0
    assert "tea.unrelated.json does not belong to this study" in refused.output
    assert "answered_by.new_tokens is 4, expected 5" in refused.output
