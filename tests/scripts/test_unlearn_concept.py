"""unlearn_concept.py: from a tiny original to a verified checkpoint, or to nothing at all."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
import unlearn_concept
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from stillknows import device
from stillknows.errors import StudyError
from stillknows.models.checkpoint_row import CheckpointRow
from stillknows.models.manifest import Manifest, read_manifest
from stillknows.training import unlearn as unlearn_module
from stillknows.training.methods.grad_diff import GradDiff
from stillknows.training.methods.hide import Hide
from stillknows.training.train import COLUMNS
from tiny import save_manifest, save_tiny, tiny_concept

ROW = CheckpointRow("tiny", "grad_diff", "tea", "unlearn")
RECIPE = {
    "learning_rate": 1e-3,
    "steps": 2,
    "batch_size": 2,
    "accumulation": 2,
    "max_length": 60,
    "warmup_steps": 0,
    "precision": "no",
}


@pytest.fixture
def original(tmp_path: Path) -> Path:
    return save_manifest(tmp_path, "original", save_tiny(tmp_path / "original"))


def concept_file(folder: Path, name: str, answered: bool = True) -> Path:
    entry = tiny_concept(name)
    if not answered:
        del entry["QA_with_answers"], entry["answers_tokens_num"]
    path = folder / f"{name}.json"
    path.write_text(json.dumps(entry), encoding="utf-8")
    return path


def run(tmp_path: Path, original: Path, **changes: Any) -> Manifest:
    arguments = {
        "start": original,
        "concept_json": concept_file(tmp_path, "tea"),
        "retain": [concept_file(tmp_path, "milk", answered=False)],
        "held_out": [concept_file(tmp_path, "salt")],
        "row": ROW,
        "recipe_method": "grad_diff",
        "recipe": RECIPE,
        "prompt": "paper",
        "seed": 0,
        "device": "cpu",
        "manifest": tmp_path / "checkpoints" / "tea" / "manifest.json",
        "training_log": tmp_path / "training" / "tea.parquet",
    }
    unlearn_concept.main(**(arguments | changes))
    return read_manifest((arguments | changes)["manifest"])


def test_writes_a_checkpoint_its_manifest_and_the_log(tmp_path: Path, original: Path) -> None:
    manifest = run(tmp_path, original)
    folder = tmp_path / "checkpoints" / "tea"
    assert manifest.folder == folder
    assert (manifest.origin, manifest.dtype) == ("trained_here", "float32")
    assert {"model.safetensors", "tokenizer.json", "config.json"} <= {
        f.name for f in manifest.files
    }
    assert [path.name for path in folder.parent.iterdir()] == ["tea"]

    log = pd.read_parquet(tmp_path / "training" / "tea.parquet")
    assert tuple(log.columns) == COLUMNS
    assert log["step"].tolist() == [0, 1, 2]

    assert manifest.training is not None
    assert manifest.training["recipe"] == GradDiff(**RECIPE).model_dump()
    assert (manifest.training["method"], manifest.training["seed"]) == ("grad_diff", 0)
    made_from = read_manifest(original).weights_sha256
    assert manifest.training["original_weights_sha256"] == made_from
    assert (manifest.training["prompt"], manifest.training["retain"]) == ("paper", ["milk"])
    assert set(manifest.training["nll_answers"]) == {"tea", "salt"}
    assert manifest.training["nll_forget"]["after"] == log["nll_forget"].iloc[-1]


def test_two_runs_write_the_same_bytes(tmp_path: Path, original: Path) -> None:
    first = run(tmp_path, original)
    second = run(tmp_path, original)  # into the same place: the old folder is replaced
    assert first.files == second.files
    assert first.training == second.training


@pytest.mark.parametrize("method", ["npo", "simnpo", "rmu"])
def test_further_methods_on_answers(tmp_path: Path, original: Path, method: str) -> None:
    recipe = RECIPE | {"texts": "answers"} | ({"layer": 3} if method == "rmu" else {})
    changes = {
        "row": CheckpointRow("tiny", method, "tea", "unlearn"),
        "recipe_method": method,
        "recipe": recipe,
        "retain": [concept_file(tmp_path, "rice")],
    }
    first, second = run(tmp_path, original, **changes), run(tmp_path, original, **changes)
    assert first.files == second.files
    before = load_file(tmp_path / "original" / "model.safetensors")
    after = load_file(first.folder / "model.safetensors")
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    projections = {f"model.layers.{layer}.mlp.down_proj.weight" for layer in (1, 2, 3)}
    assert changed == (projections if method == "rmu" else before.keys())


def test_nothing_is_saved_of_a_training_that_diverged(tmp_path: Path, original: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "original")
    with torch.no_grad():
        model.model.norm.weight.fill_(1e38)  # finite, but the logits are not
        model.lm_head.weight.fill_(1e38)
    model.save_pretrained(tmp_path / "original")
    save_manifest(tmp_path, "original", tmp_path / "original")
    with pytest.raises(StudyError, match="at step 1 of 2, nothing was saved"):
        run(tmp_path, original)
    assert not (tmp_path / "checkpoints").exists()
    assert not (tmp_path / "training").exists()


def test_a_training_that_does_not_fit_is_refused_before_it_loads(
    tiny_llama: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device, "free_memory", lambda _device: 1000)
    with pytest.raises(StudyError, match=r"needs .* GB"):
        unlearn_module.load_model(tiny_llama, GradDiff(), "cpu")


def test_gradients_count_only_for_the_modules_that_are_trained(
    tiny_llama: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = AutoModelForCausalLM.from_pretrained(tiny_llama)
    sizes = {name: weight.numel() for name, weight in model.named_parameters()}
    one_layer = sum(size for name, size in sizes.items() if ".layers.0." in name)
    needed = 4 * (sum(sizes.values()) + 3 * one_layer)  # float32; gradients and two moments
    recipe = Hide(only=["layers.0"], precision="no")
    monkeypatch.setattr(device, "free_memory", lambda _device: needed - 1)
    with pytest.raises(StudyError, match=r"needs .* GB"):
        unlearn_module.load_model(tiny_llama, recipe, "cpu")
    monkeypatch.setattr(device, "free_memory", lambda _device: needed)
    unlearn_module.load_model(tiny_llama, recipe, "cpu")
