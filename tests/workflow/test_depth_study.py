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


def test_depth_has_intervals_over_the_questions_of_its_one_concept(study: Workflow) -> None:
    summary = pd.read_csv(study.result("tables/depth.csv"))
    uds = pd.read_csv(study.result("tables/uds.csv"))
    for form in ("published", "corrected"):
        rows = summary[(summary["form"] == form) & (summary["method"] == "dpo")]
        assert rows["layers"].value_counts().to_dict() == {
            "one": 32,
            "lower_and_middle": 1,
            "all": 1,
        }
        assert (rows["unit"] == "question").all() and (rows["n"] == 6).all()
        whole = rows[rows["layers"] == "all"].iloc[0]
        mean = uds[uds["question"].isna() & (uds["form"] == form)]["uds"].item()
        assert whole["uds"] == pytest.approx(mean, rel=1e-8)
        assert whole["uds_low"] < whole["uds"] < whole["uds_high"]
        assert whole["difference_low"] < whole["difference"] < whole["difference_high"]
    # grad_diff is of a concept without facts, but with a reference model.
    assert set(summary["method"]) == {"dpo"}
    page = study.result("report.html").read_text(encoding="utf-8")
    assert "above this one reference model" in page and "this study has none" not in page


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
    assert jobs == {"sweeps": 1, "register_checkpoint": 1, "dissect_layers": 4 * 3}
    kept = study.root / "own/dpo_901/notes.json"
    kept.write_text("{}", encoding="utf-8")
    try:
        assert study.run("--dry-run", "sweeps").jobs["dissect_layers"] == 3
    finally:
        kept.unlink()


def test_noising_has_damage_and_no_krs(study: Workflow) -> None:
    krs = pd.read_parquet(study.result("tables/krs.parquet"))
    is_noising = krs["experiment"].str.startswith("noising")
    assert krs.loc[is_noising, "krs"].isna().all() and krs.loc[~is_noising, "damage"].isna().all()
    assert set(krs.loc[is_noising, "donor"]) == {"copy"}
    # With all of its residual stream it is the copy, but for what is above the layers.
    top = krs[(krs["experiment"] == "noising_residual") & (krs["last_layer"] == 31)]
    np.testing.assert_allclose(top["damage"], 1, rtol=0.2)
    assert {"notebook", "answer", "fact"} == set(krs["span"])
    assert not list(study.result("krs").rglob("*.recording"))


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
