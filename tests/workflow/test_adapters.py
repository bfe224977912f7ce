"""A study whose unlearned checkpoints are LoRA adapters: merged once, then like any other."""

import os
import shutil

import numpy as np
import pandas as pd
import pytest
from test_replaced_weights import ALL_ARE_LARGE, older
from tiny_study import Workflow, make

from stillknows.files import read_json
from tiny import save_adapter, save_tiny

ROWS = [("tiny", "original", "", "path:own/original"), ("tiny", "dpo", "tea", "path:own/adapter")]
ONE = {"concepts": {"tiny": ["tea"]}, "experiments": ["attention"], "weight_changes": True}
SWEEP = "results/tiny/krs/tiny/dpo/tea/attention.parquet"
WEIGHT_CHANGES = "results/tiny/weight_changes/tiny/dpo/tea.parquet"


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Workflow:
    workflow = make(tmp_path_factory.mktemp("adapters"))
    workflow.write_table(ROWS)
    workflow.write_config(**ONE)
    original = save_tiny(workflow.root / "own/original")
    save_adapter(workflow.root / "own/adapter", original)
    return workflow


def test_an_adapter_is_merged_once_and_swept(study: Workflow) -> None:
    run = study.run(SWEEP, WEIGHT_CHANGES)
    assert run.status == 0, run.output
    manifest = read_json(study.result("checkpoints/adapter/tiny/dpo/tea/manifest.json"))
    assert (manifest["source"], manifest["origin"]) == ("adapter:own/adapter", "own")
    sweep = pd.read_parquet(study.root / SWEEP)
    assert (sweep["loss_unlearned"] > 0).all()
    assert np.isfinite(sweep["krs"]).all()
    weight_changes = pd.read_parquet(study.root / WEIGHT_CHANGES)
    moved = set(weight_changes[weight_changes["relative_change"] > 0]["component"])
    assert moved == {"q", "down"}
    assert not study.result("checkpoints/path/tiny/dpo").exists()
    assert study.run("--dry-run", SWEEP, WEIGHT_CHANGES).jobs == {}


def test_an_adapter_is_merged_again_only_for_another_content(study: Workflow) -> None:
    adapter = study.root / "own/adapter"
    os.utime(adapter / "adapter_model.safetensors")
    assert study.run("--dry-run", SWEEP, *ALL_ARE_LARGE).jobs == {}
    shutil.move(adapter, study.root / "own/adapter1")
    study.write_table([ROWS[0], ("tiny", "dpo", "tea", "path:own/adapter1")])
    assert study.run("--dry-run", SWEEP).jobs == {}
    study.write_table(ROWS)
    older(save_adapter(adapter, study.root / "own/original", lora_alpha=8))
    assert study.run("--dry-run", SWEEP).jobs == {"merge_adapter": 1, "dissect_layers": 1}
