"""Weights of the original, restored in the copy: against copied weights of whole models."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from test_fact_runs import ALL_FAMILIES
from transformers import AutoModelForCausalLM

from plain_hooks import patched_logits, restored_parameters, states_of
from stillknows.engine.directions import run_experiments
from stillknows.models.reader import Checkpoint
from stillknows.terms import ALL_WEIGHTS, LAYER_WEIGHTS, VALUE_VECTORS, WEIGHT_EXPERIMENTS
from tiny import LAYERS, save_changed, save_tiny, tiny_config
from tiny_sweeps import WINDOWS, model_of, recording_of, texts_of

NAMES = (VALUE_VECTORS, *WEIGHT_EXPERIMENTS)
BIASES = tiny_config(attention_bias=True, mlp_bias=True)


def restored(
    original: Path, copy: Path, *names: str, vocabulary: int | None = None
) -> dict[str, pd.DataFrame]:
    """The rows of the original's weights in the copy, by experiment."""
    recorded = recording_of(original, texts_of(original), copy.with_suffix(".safetensors"))
    recorded = replace(recorded, vocabulary=vocabulary)
    unused = copy.with_suffix(".temporary")
    return run_experiments(names, Checkpoint(original), model_of(copy), recorded, WINDOWS, unused)


def whole(rows: pd.DataFrame) -> "pd.Series[bool]":
    """Which rows have all layers restored at once."""
    return (rows["first_layer"] == 0) & (rows["last_layer"] == LAYERS - 1)


def load(folder: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


@pytest.mark.parametrize("family", ALL_FAMILIES)
def test_all_weights_equal_copied_weights(tmp_path: Path, family: str) -> None:
    original = save_tiny(tmp_path / "original", ALL_FAMILIES[family])
    copy = save_changed(tmp_path / "copy", original, lambda _name: True)
    rows = restored(original, copy, ALL_WEIGHTS)[ALL_WEIGHTS]
    models, texts = (load(original), load(copy)), texts_of(original)
    states = [states_of(models[0], torch.tensor([text.ids])) for text in texts]
    for row in rows[rows["span"] == "answer"].to_dict("records"):
        of_text, span = states[row["question"]], list(texts[row["question"]].answer)

        def loss(logits: torch.Tensor, to: torch.Tensor = of_text.logits, at: list = span) -> float:
            return float((logits - to)[0, at].square().mean())

        layers = range(row["first_layer"], row["last_layer"] + 1)
        patched = patched_logits(*models, of_text, ALL_WEIGHTS, layers)
        assert row["loss_patched"] == pytest.approx(loss(patched), rel=2e-5, abs=1e-10)
        with torch.no_grad():
            as_it_is = loss(models[1](of_text.ids).logits)
        assert row["loss_unlearned"] == pytest.approx(as_it_is, rel=1e-5)
        assert row["krs"] == 1 - row["loss_patched"] / row["loss_unlearned"]


@pytest.mark.parametrize("name", [LAYER_WEIGHTS, ALL_WEIGHTS])
@pytest.mark.parametrize("family", ALL_FAMILIES)
def test_with_everything_restored_it_is_the_original(
    tmp_path: Path, family: str, name: str
) -> None:
    original = save_tiny(tmp_path / "original", ALL_FAMILIES[family])
    changed = restored_parameters(load(original), name, range(LAYERS))
    copy = save_changed(tmp_path / "copy", original, lambda parameter: parameter in changed)
    rows = restored(original, copy, name)[name]
    everything = rows[whole(rows)]
    assert set(everything["window"]) == {"suffix", "prefix"}
    np.testing.assert_allclose(everything["krs"], 1, rtol=0, atol=1e-6)
    assert (rows.loc[~whole(rows), "krs"] < 1 - 1e-4).all()


@pytest.mark.parametrize(
    ("planted", "by", "config"),
    [
        ("model.layers.3.self_attn.q_proj.", "attention_weights", tiny_config()),
        ("model.layers.3.self_attn.o_proj.", "attention_weights", tiny_config()),
        ("model.layers.3.self_attn.v_proj.bias", "attention_weights", BIASES),
        ("model.layers.3.self_attn.k_norm.", "attention_weights", ALL_FAMILIES["qwen3"]),
        ("model.layers.3.self_attn.qkv_proj.", "attention_weights", ALL_FAMILIES["phi3"]),
        ("model.layers.3.mlp.gate_proj.", "gate_and_up_weights", tiny_config()),
        ("model.layers.3.mlp.up_proj.bias", "gate_and_up_weights", BIASES),
        ("model.layers.3.mlp.gate_up_proj.", "gate_and_up_weights", ALL_FAMILIES["phi3"]),
        ("model.layers.3.mlp.down_proj.weight", "value_vectors", BIASES),
        ("model.layers.3.mlp.down_proj.bias", "layer_weights", BIASES),
        ("model.layers.3.input_layernorm.", "all_weights", tiny_config()),
        ("model.layers.3.post_attention_layernorm.", "all_weights", tiny_config()),
        ("gpt_neox.layers.3.attention.dense.", "attention_weights", ALL_FAMILIES["gpt_neox"]),
        ("gpt_neox.layers.3.mlp.dense_h_to_4h.", "gate_and_up_weights", ALL_FAMILIES["gpt_neox"]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_planted_change_is_undone_by_its_windows_and_no_others(
    tmp_path: Path, planted: str, by: str, config: Any
) -> None:
    original = save_tiny(tmp_path / "original", config)
    copy = save_changed(tmp_path / "copy", original, lambda name: name.startswith(planted))
    wider = {"all_weights"} if by == "all_weights" else {by, "layer_weights", "all_weights"}
    for name, rows in restored(original, copy, *NAMES).items():
        contains = (rows["first_layer"] <= 3) & (rows["last_layer"] >= 3)
        expected = (contains & (name in wider)).astype(float)
        np.testing.assert_allclose(rows["krs"], expected, rtol=0, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("planted", ["model.embed_tokens.", "model.norm.", "lm_head."])
def test_a_change_outside_the_layers_is_undone_in_every_window_of_all_weights(
    tmp_path: Path, tiny_llama: Path, planted: str
) -> None:
    copy = save_changed(tmp_path / "copy", tiny_llama, lambda name: name.startswith(planted))
    for name, rows in restored(tiny_llama, copy, *NAMES).items():
        expected = float(name == "all_weights")
        np.testing.assert_allclose(rows["krs"], expected, rtol=0, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("rows_more", [7, -7])
@pytest.mark.parametrize("tied", [True, False])
def test_a_resized_vocabulary_is_restored(tmp_path: Path, tied: bool, rows_more: int) -> None:
    original = save_tiny(tmp_path / "original", tiny_config(tie_word_embeddings=tied))
    copy = save_changed(tmp_path / "copy", original, lambda _name: True)
    model = load(copy)
    rows = model.config.vocab_size
    model.resize_token_embeddings(rows + rows_more)
    model.save_pretrained(copy)
    common = min(rows, rows + rows_more)
    found = restored(original, copy, ALL_WEIGHTS, vocabulary=common)[ALL_WEIGHTS]
    np.testing.assert_allclose(found.loc[whole(found), "krs"], 1, rtol=0, atol=1e-6)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int, tuple[str, ...]]]:
    """What is read of layers: the folder, the layer, the parts."""
    reads: list[tuple[str, int, tuple[str, ...]]] = []
    read_parts: Callable[..., Any] = Checkpoint.read_parts

    def noting(self: Checkpoint, layer: int, parts: Any, *where: Any) -> Any:
        reads.append((self.folder.name, layer, tuple(sorted(parts))))
        return read_parts(self, layer, parts, *where)

    monkeypatch.setattr(Checkpoint, "read_parts", noting)
    return reads


@pytest.mark.parametrize("name", NAMES)
def test_of_the_original_only_what_is_restored_is_read_and_once(
    tmp_path: Path, tiny_llama: Path, reads: list[tuple[str, int, tuple[str, ...]]], name: str
) -> None:
    copy = save_tiny(tmp_path / "copy", near=tiny_llama, seed=1)
    recorded = recording_of(tiny_llama, texts_of(tiny_llama), tmp_path / "recording.safetensors")
    reads.clear()
    models = Checkpoint(tiny_llama), model_of(copy)
    run_experiments([name], *models, recorded, WINDOWS, tmp_path / "unused")
    parts = {
        "value_vectors": ("value_vectors",),
        "attention_weights": ("attention",),
        "gate_and_up_weights": ("gate_and_up",),
        "layer_weights": ("attention", "down_bias", "gate_and_up", "value_vectors"),
        "all_weights": ("attention", "down_bias", "gate_and_up", "norms", "value_vectors"),
    }[name]
    of_original = [read[1:] for read in reads if read[0] == tiny_llama.name]
    assert of_original == [(layer, parts) for layer in range(LAYERS)]
