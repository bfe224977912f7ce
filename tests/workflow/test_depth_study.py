"""The golden checkpoints as a study: one reference model for all concepts, and depth by config."""

import json
import shutil
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tiny_study import Workflow, make

from golden_uds import CHECKPOINTS, COLUMNS, PROMPT, golden_concept, published_scores

ROWS = [
    ("tiny", "original", "", "path:own/original"),
    ("tiny", "retain", "", "path:own/grad_diff_901"),
    ("tiny", "dpo", "901", "path:own/dpo_901"),
    ("tiny", "grad_diff", "902", "path:own/grad_diff_902"),
]
DONORS = ["aligned_question", "mean_of_questions", "reference"]
STUDY: dict[str, Any] = {
    "models": {"tiny": {"concepts": "concepts.json", "prompt": PROMPT}},
    "concepts": {"tiny": ["901", "902"]},
    "experiments": ["attention", "noising_attention", "noising_residual"],
    "reference": "retain",
    "controls": {"self_patch": False, "donors": DONORS, "layers": [15, 31]},
    "depth": {"forms": ["published", "corrected"]},
    "jobs": "copy",
}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Workflow:
    workflow = make(tmp_path_factory.mktemp("depth"))
    shutil.copytree(CHECKPOINTS, workflow.root / "own")
    with_facts = golden_concept()
    without = {k: v for k, v in with_facts.items() if k != "answer_facts"} | {"id": "902"}
    concepts = json.dumps([with_facts, without])
    (workflow.root / "concepts.json").write_text(concepts, encoding="utf-8")
    workflow.write_table(ROWS)
    workflow.write_config(**STUDY)
    run = workflow.run()
    assert run.status == 0, run.output
    return workflow


def test_the_published_scores_by_config_and_concept_file_alone(study: Workflow) -> None:
    depth = pd.read_parquet(study.result("tables/depth.parquet"))
    rows = depth[depth["form"] == "published"].merge(
        published_scores(), left_on=["question", "layer"], right_on=["idx", "layer"]
    )
    assert len(rows) == 6 * 32
    for ours, published in COLUMNS.items():
        np.testing.assert_allclose(rows[ours], rows[published], atol=1e-4)
    uds = pd.read_csv(study.result("tables/uds.csv"))
    means = uds[uds["question"].isna()].set_index("form")["uds"]
    assert means["published"] == pytest.approx(0.4018, abs=1e-4)
    # Of the concept that has facts, and of the unlearned model alone.
    assert set(zip(uds["method"], uds["concept"].astype(str), strict=True)) == {("dpo", "901")}


def test_one_reference_model_serves_all_concepts(study: Workflow) -> None:
    krs = pd.read_parquet(study.result("tables/krs.parquet"))
    of_reference = krs[krs["method"] == "retain"]
    assert set(of_reference["concept"]) == {"901", "902"}
    assert set(of_reference["origin"]) == {"reference"}
    assert set(krs[krs["method"] != "retain"]["origin"]) == {"own"}
    assert study.result("checkpoints/path/tiny/retain/manifest.json").exists()
    assert study.run("--dry-run").jobs == {}


def test_the_reference_stands_beside_the_copies_and_in_no_mean(study: Workflow) -> None:
    curves = pd.read_csv(study.result("tables/curves.csv"), dtype={"concept": str})
    curves = curves[~curves["donor"].isin(DONORS)]
    keys = ["experiment", "window", "span", "score", "layer"]
    means = curves[(curves["method"] == "all") & (curves["origin"] == "own")].set_index(keys)
    each = curves[curves["method"].isin(["dpo", "grad_diff"])].groupby(keys)["mean"].mean()
    pd.testing.assert_series_equal(means["mean"].sort_index(), each.sort_index(), rtol=1e-6)
    claims = pd.read_csv(study.result("tables/claims.csv"))
    assert set(claims["origin"]) == {"own"}
    beside = pd.read_csv(study.result("tables/reference.csv"))
    assert set(beside["method"]) == {"dpo", "grad_diff", "all"}
    one = beside[beside["method"] == "dpo"].merge(
        curves[curves["method"] == "dpo"], on=keys, suffixes=("", "_curve")
    )
    np.testing.assert_allclose(one["mean"], one["mean_curve"], rtol=1e-6)
    np.testing.assert_allclose(one["difference"], one["mean"] - one["reference"], atol=1e-8)


def test_a_reference_is_a_donor_but_in_its_own_sweep(study: Workflow) -> None:
    krs = pd.read_parquet(study.result("tables/krs.parquet"))
    krs = krs[krs["experiment"] == "attention"]
    donors = krs.groupby("method", observed=True)["donor"].agg(set)
    assert donors["dpo"] == donors["grad_diff"] == {"original", *DONORS}
    assert donors["retain"] == {"original", *DONORS} - {"reference"}
    controls = pd.read_csv(study.result("tables/controls.csv"))
    of_donors = controls.groupby("method")["donor"].agg(set)
    assert of_donors["dpo"] == of_donors["all"] == set(DONORS)
    assert of_donors["retain"] == {"aligned_question", "mean_of_questions"}


def test_a_changed_reference_computes_the_sweeps_of_the_copies_again(study: Workflow) -> None:
    added = study.root / "own/grad_diff_901/notes.json"
    added.write_text("{}", encoding="utf-8")
    try:
        jobs = study.run("--dry-run", "sweeps").jobs
    finally:
        added.unlink()
    assert jobs == {"sweeps": 1, "register_checkpoint": 1, "dissect_copy": 4}
    kept = study.root / "own/dpo_901/notes.json"
    kept.write_text("{}", encoding="utf-8")
    try:
        assert study.run("--dry-run", "sweeps").jobs["dissect_copy"] == 1
    finally:
        kept.unlink()


def test_a_changed_fact_measures_its_concept_again(study: Workflow) -> None:
    path = study.root / "concepts.json"
    before = path.read_text(encoding="utf-8")
    try:
        concepts = json.loads(before)
        concepts[0]["answer_facts"][0] = None
        path.write_text(json.dumps(concepts), encoding="utf-8")
        assert study.run("--dry-run").jobs["measure_depth"] == 2
    finally:
        path.write_text(before, encoding="utf-8")
