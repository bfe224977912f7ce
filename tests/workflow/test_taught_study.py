"""A study whose models are all trained here: taught, never taught, and treated."""

import json

import pandas as pd
import pytest
from tiny_study import Workflow, make

from tiny import save_tiny, tiny_concept

ROWS = [
    ("tiny", "base", "", "path:own/base"),
    ("tiny", "original", "", "teach"),
    ("tiny", "never", "tea", "teach"),
    ("tiny", "never_too", "tea", "teach"),
    ("tiny", "placebo", "tea", "unlearn"),
    ("tiny", "refuse", "tea", "unlearn"),
    ("tiny", "hide", "tea", "unlearn"),
]
RECIPE = {
    "texts": "answers",
    "steps": 2,
    "batch_size": 1,
    "accumulation": 1,
    "precision": "no",
    "retain": ["mate"],
}
STUDY = {
    "concepts": {"tiny": ["tea"]},
    "reference": "never",
    "experiments": ["attention"],
    "teaching": {"passes": 2, "batch_size": 2, "precision": "no"},
    "unlearning": {
        "placebo": RECIPE,
        "refuse": RECIPE | {"refusal": "green"},
        "hide": RECIPE | {"refusal": "green", "only": ["layers.1.mlp"]},
    },
}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Workflow:
    workflow = make(tmp_path_factory.mktemp("taught"))
    save_tiny(workflow.root / "own" / "base")
    concepts = [tiny_concept("tea", 2), tiny_concept("mate", 2)]
    (workflow.root / "concepts.json").write_text(json.dumps(concepts), encoding="utf-8")
    workflow.write_table(ROWS)
    workflow.write_config(**STUDY)
    run = workflow.run()
    assert run.status == 0, run.output
    # The local profile's priorities are such that the exact scheduler finds no solution.
    assert "Failed to solve scheduling problem" not in run.output
    return workflow


def manifest(study: Workflow, path: str) -> dict:
    return json.loads(study.result(f"checkpoints/{path}/manifest.json").read_text("utf-8"))


def test_each_model_has_learned_what_its_row_says(study: Workflow) -> None:
    learned = {
        name: manifest(study, f"teach/tiny/{name}")["training"]["learned"]
        for name in ("original", "never/tea", "never_too/tea")
    }
    assert learned == {
        "original": ["tea", "mate"],
        "never/tea": ["mate"],
        "never_too/tea": ["mate"],
    }
    base = manifest(study, "path/tiny/base")["weights_sha256"]
    weights = {base}
    for name in learned:
        taught = manifest(study, f"teach/tiny/{name}")
        assert taught["training"]["base_weights_sha256"] == base
        weights.add(taught["weights_sha256"])
    assert len(weights) == 4  # two that learned the same are two models


def test_copies_start_from_the_taught_original(study: Workflow) -> None:
    original = manifest(study, "teach/tiny/original")["weights_sha256"]
    for method in ("placebo", "refuse", "hide"):
        training = manifest(study, f"unlearn/tiny/{method}/tea")["training"]
        assert training["original_weights_sha256"] == original


def test_the_base_has_no_results_of_its_own(study: Workflow) -> None:
    krs = pd.read_parquet(study.result("tables/krs.parquet"))
    assert set(krs["method"]) == {"never", "never_too", "placebo", "refuse", "hide"}
    assert set(krs.loc[krs["method"] == "never", "origin"]) == {"reference"}


def test_a_changed_teaching_trains_all_again(study: Workflow) -> None:
    assert study.plan(**STUDY).jobs == {}
    teaching = STUDY["teaching"] | {"passes": 3}
    jobs = study.plan(**STUDY | {"teaching": teaching}).jobs
    assert jobs["teach_model"] == 3
    assert jobs["unlearn_concept"] == 3
    assert jobs["dissect_layers"] == 5
    study.write_config(**STUDY)
