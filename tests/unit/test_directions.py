"""Noising, the copy patched into the original: against the dumbest hooks, and what must hold."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from test_fact_runs import ALL_FAMILIES
from transformers import AutoModelForCausalLM

from plain_hooks import patched_logits, states_of
from stillknows.engine.directions import run_experiments
from stillknows.engine.patches import EXPERIMENTS, Experiment
from stillknows.engine.windows import windows_of
from stillknows.models.reader import Checkpoint
from stillknows.terms import CONTROLS, DENOISING, NOISING
from stillknows.texts.spans import Text
from tiny import LAYERS, save_changed, save_tiny
from tiny_sweeps import WINDOWS, model_of, recording_of, texts_of

# Losses are squared distances of logits: a distance within 1e-5 is a loss within 2e-5.
OF_LOSSES = 2e-5


def rows_of(
    folder: Path, original: Path, copy: Path, name: str, texts: Sequence[Text] | None = None
) -> pd.DataFrame:
    """The rows of a noising experiment.

    Args:
        texts: None: those of `texts_of`.
    """
    texts = texts_of(original) if texts is None else texts
    recorded = recording_of(original, texts, folder / "original.safetensors")
    temporary = folder / "copy.recording"
    models = Checkpoint(original), model_of(copy)
    rows = run_experiments([name], *models, recorded, WINDOWS, temporary)
    assert not temporary.exists()
    return rows[name]


@pytest.mark.parametrize("family", ALL_FAMILIES)
def test_noising_equals_plain_hooks(tmp_path: Path, family: str) -> None:
    original = save_tiny(tmp_path / "original", ALL_FAMILIES[family])
    copy = save_tiny(tmp_path / "copy", near=original, seed=1)
    models = [
        AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        for folder in (original, copy)
    ]
    texts = texts_of(original)
    of_original, of_copy = (
        [states_of(model, torch.tensor([text.ids])) for text in texts] for model in models
    )
    for name in NOISING:
        rows = rows_of(tmp_path, original, copy, name)
        assert (rows["donor"] == "copy").all()
        assert rows["krs"].isna().all()
        for row in rows[rows["span"] == "answer"].to_dict("records"):
            question, layers = row["question"], range(row["first_layer"], row["last_layer"] + 1)
            span = list(texts[question].answer)
            expected = of_original[question].logits[0, span]

            def loss(logits: torch.Tensor, to: torch.Tensor = expected, at: list = span) -> float:
                return float((logits[0, at] - to).square().mean())

            patched = patched_logits(models[1], models[0], of_copy[question], name, layers)
            assert row["loss_patched"] == pytest.approx(loss(patched), rel=OF_LOSSES, abs=1e-10)
            own = loss(of_copy[question].logits)
            assert row["loss_unlearned"] == pytest.approx(own, rel=1e-5)
            assert row["noising_ratio"] == row["loss_patched"] / row["loss_unlearned"]


@pytest.mark.parametrize("name", NOISING)
def test_noising_scores_a_text_the_same_alone_and_in_a_token_tree(
    tmp_path: Path, tiny_llama: Path, tiny_unlearned: Path, name: str
) -> None:
    together = rows_of(tmp_path, tiny_llama, tiny_unlearned, name)
    for number, text in enumerate(texts_of(tiny_llama)):
        alone = rows_of(tmp_path, tiny_llama, tiny_unlearned, name, [text])
        in_tree = together[together["question"] == number]
        assert len(alone) == len(in_tree) > 0
        for loss in ("loss_unlearned", "loss_patched"):
            np.testing.assert_allclose(in_tree[loss], alone[loss], rtol=OF_LOSSES)


@pytest.mark.parametrize("name", NOISING)
def test_a_copy_that_is_the_original_has_a_noising_ratio_of_0(
    tmp_path: Path, tiny_llama: Path, name: str
) -> None:
    rows = rows_of(tmp_path, tiny_llama, tiny_llama, name)
    assert (rows["loss_unlearned"] < 1e-12).all()
    assert (rows["loss_patched"] < 1e-10).all()
    is_zero = rows["loss_patched"] == 0
    assert (rows.loc[is_zero, "noising_ratio"] == 0).all()
    assert is_zero.any() == (rows["loss_unlearned"] == 0).any()


@pytest.mark.parametrize(
    ("module", "component"), [("self_attn", "attention"), ("mlp.gate_proj", "mlp_coefficients")]
)
def test_a_planted_change_is_found_where_it_is(
    tmp_path: Path, tiny_llama: Path, module: str, component: str
) -> None:
    planted = f"model.layers.3.{module}."
    copy = save_changed(tmp_path / "copy", tiny_llama, lambda name: name.startswith(planted))
    for name in NOISING:
        rows = rows_of(tmp_path, tiny_llama, copy, name)
        if name == "noising_residual":
            contains = rows["last_layer"] >= 3  # the whole layer, and what it changed above
        else:
            contains = (rows["first_layer"] <= 3) & (rows["last_layer"] >= 3)
        is_patched = component in name or name == "noising_residual"
        is_whole = (rows["noising_ratio"] - 1).abs() < 1e-4
        assert (is_whole == (contains & is_patched)).all(), name


@pytest.mark.parametrize("highest", range(LAYERS))
def test_the_restored_residual_stream_is_the_originals_from_there_on(
    tmp_path: Path, tiny_llama: Path, monkeypatch: pytest.MonkeyPatch, highest: int
) -> None:
    """Above its highest changed layer, the copy does with a state what the original does."""
    changed = tuple(f"model.layers.{layer}." for layer in range(highest + 1))
    copy = save_changed(tmp_path / "copy", tiny_llama, lambda name: name.startswith(changed))
    recorded = recording_of(tiny_llama, texts_of(tiny_llama), tmp_path / "original.safetensors")
    monkeypatch.setitem(EXPERIMENTS, "residual", Experiment(residual=True))
    models, unused = (Checkpoint(tiny_llama), model_of(copy)), tmp_path / "reference.recording"
    rows = run_experiments(["residual"], *models, recorded, WINDOWS, unused)["residual"]
    is_above = rows["last_layer"] >= highest
    np.testing.assert_allclose(rows.loc[is_above, "krs"], 1, atol=1e-6)
    assert (rows.loc[~is_above, "krs"] < 0.99).all()


def test_the_residual_stream_makes_everything_below_the_donors(
    tmp_path: Path, tiny_llama: Path, tiny_unlearned: Path
) -> None:
    rows = rows_of(tmp_path, tiny_llama, tiny_unlearned, "noising_residual")
    one = rows[rows["window"] == "sliding_1"].set_index(["question", "span", "last_layer"])
    for window in windows_of(["sliding_3"], LAYERS):
        wide = rows[(rows["window"] == "sliding_3") & (rows["layer"] == window.layer)]
        for row in wide.to_dict("records"):
            same = one.loc[(row["question"], row["span"], window.last)]
            assert row["loss_patched"] == same["loss_patched"]


def test_all_experiments_in_one_sweep_have_the_bits_of_each_alone(
    tmp_path: Path, tiny_llama: Path, tiny_unlearned: Path
) -> None:
    recorded = recording_of(tiny_llama, texts_of(tiny_llama), tmp_path / "original.safetensors")
    original, host, temporary = Checkpoint(tiny_llama), model_of(tiny_unlearned), tmp_path / "copy"
    reference = model_of(save_tiny(tmp_path / "reference", near=tiny_llama, seed=2))
    controls = {"names": CONTROLS, "layers": [2], "seed": 0}
    swept = original, host, recorded, WINDOWS, temporary
    together = run_experiments(EXPERIMENTS, *swept, controls, reference)
    assert set(together) == set(EXPERIMENTS)
    assert set(together["attention"]["donor"]) == {"original", *CONTROLS}
    for name in EXPERIMENTS:
        alone = run_experiments([name], *swept, controls, reference)
        pd.testing.assert_frame_equal(together[name], alone[name], check_exact=True)


@pytest.mark.parametrize("name", DENOISING)
def test_a_reference_that_is_the_original_gives_the_originals_scores(
    tmp_path: Path, tiny_llama: Path, tiny_unlearned: Path, name: str
) -> None:
    recorded = recording_of(tiny_llama, texts_of(tiny_llama), tmp_path / "original.safetensors")
    swept = Checkpoint(tiny_llama), model_of(tiny_unlearned), recorded, WINDOWS, tmp_path / "x"
    controls = {"names": ["reference"], "layers": [0, 2], "seed": 0}
    rows = run_experiments([name], *swept, controls, model_of(tiny_llama))[name]
    assert not (tmp_path / "x").exists()
    of_original, of_reference = (
        rows[(rows["donor"] == donor) & rows["layer"].isin([0, 2])].drop(columns="donor")
        for donor in ("original", "reference")
    )
    assert len(of_reference) > 0 and not of_reference["krs"].isna().any()
    pd.testing.assert_frame_equal(
        of_original.reset_index(drop=True), of_reference.reset_index(drop=True), rtol=1e-6
    )


def test_value_vectors_of_a_reference_need_no_recording(
    tmp_path: Path, tiny_llama: Path, tiny_unlearned: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded = recording_of(tiny_llama, texts_of(tiny_llama), tmp_path / "original.safetensors")
    monkeypatch.delattr("stillknows.engine.directions.record")
    swept = Checkpoint(tiny_llama), model_of(tiny_unlearned), recorded, WINDOWS, tmp_path / "x"
    controls = {"names": ["reference"], "layers": [2], "seed": 0}
    rows = run_experiments(["value_vectors"], *swept, controls, model_of(tiny_unlearned))
    of_reference = rows["value_vectors"].query("donor == 'reference'")
    # The copy's own value vectors change nothing.
    np.testing.assert_allclose(of_reference["krs"], 0, atol=1e-5)
