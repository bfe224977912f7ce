"""Checkpoints whose vocabulary was resized: what only one of the pair has is compared nowhere."""

import json
from pathlib import Path
from typing import Any

import dissect_layers
import measure_weight_changes
import numpy as np
import pandas as pd
import pytest
import record_original
import torch
from transformers import AutoModelForCausalLM

from stillknows.errors import StudyError
from stillknows.models.checkpoint_files import load_tokenizer
from stillknows.models.reader import Checkpoint
from stillknows.models.verify import refuse_other_shapes, refuse_unshared_tokens
from stillknows.parquet_files import SWEEP_SCHEMA
from stillknows.texts.spans import read_texts
from tiny import save_manifest, save_tiny, tiny_concept, tiny_config

NUMBERS = [field.name for field in SWEEP_SCHEMA if str(field.type) == "double"]
COMMON: dict[str, str] = {"prompt": "paper", "dtype": "float32", "device": "cpu"}


def resized(folder: Path, rows: int, target: Path) -> Path:
    """A copy of a checkpoint with so many rows in embedding and head; new ones are random."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    before = model.lm_head.weight.shape[0]
    model.resize_token_embeddings(rows, mean_resizing=False)
    with torch.no_grad():
        for matrix in (model.lm_head.weight, model.get_input_embeddings().weight):
            matrix[before:] = 3.0  # would be noticed in every mean and softmax
    model.save_pretrained(target)
    load_tokenizer(folder).save_pretrained(target)
    return target


def one_sweep(root: Path, original: Path, unlearned: Path) -> pd.DataFrame:
    """One sweep by the scripts."""
    root.mkdir()
    manifest = save_manifest(root, "original", original)
    (root / "tea.json").write_text(json.dumps(tiny_concept("tea")), encoding="utf-8")
    texts, recording = root / "tea.json", root / "recording.safetensors"
    record_original.main(original=manifest, concept_json=texts, recording=recording, **COMMON)
    dissect_layers.main(
        original=manifest,
        unlearned=save_manifest(root, "dpo", unlearned, "tea"),
        concept_json=texts,
        recording=recording,
        windows=["sliding_3"],
        tables=[root / "attention.parquet"],
        **COMMON,
    )
    return pd.read_parquet(root / "attention.parquet")


def assert_same_numbers(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    assert (expected["loss_unlearned"] > 0).all()
    for name in NUMBERS:
        np.testing.assert_allclose(found[name], expected[name], rtol=2e-5, atol=1e-6, err_msg=name)


def pair(tmp_path: Path, **config: Any) -> tuple[Path, Path]:
    original = save_tiny(tmp_path / "original", tiny_config(**config))
    return original, save_tiny(tmp_path / "unlearned", near=original, seed=1)


@pytest.mark.parametrize("tied", [False, True])
def test_rows_that_only_the_unlearned_one_has_change_nothing(tmp_path: Path, tied: bool) -> None:
    original, unlearned = pair(tmp_path, tie_word_embeddings=tied)
    larger = resized(unlearned, 304, tmp_path / "larger")
    expected = one_sweep(tmp_path / "expected", original, unlearned)
    assert_same_numbers(one_sweep(tmp_path / "found", original, larger), expected)


def test_rows_that_only_the_original_has_are_in_no_score(tmp_path: Path) -> None:
    original, unlearned = pair(tmp_path)
    larger = resized(original, 310, tmp_path / "larger")
    expected = one_sweep(tmp_path / "expected", original, unlearned)
    assert_same_numbers(one_sweep(tmp_path / "found", larger, unlearned), expected)


def test_a_text_that_uses_a_row_of_one_alone_is_refused_in_one_line(tmp_path: Path) -> None:
    original, unlearned = pair(tmp_path)
    texts = read_texts(tiny_concept("tea"), "paper", load_tokenizer(original))
    highest = max(max(text.ids) for text in texts)
    enough = resized(unlearned, highest + 1, tmp_path / "enough")
    checkpoints = Checkpoint(original), Checkpoint(enough)
    assert refuse_unshared_tokens(*checkpoints, [text.ids for text in texts]) == highest + 1
    few = resized(unlearned, highest, tmp_path / "few")
    said = f"few has a vocabulary of {highest} rows, .* of 300, and the texts use token {highest}"
    with pytest.raises(StudyError, match=said) as error:
        one_sweep(tmp_path / "found", original, few)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "found/sweep.parquet").exists()


def test_only_rows_may_differ(tmp_path: Path) -> None:
    original, unlearned = pair(tmp_path)
    refuse_other_shapes(
        Checkpoint(original), Checkpoint(resized(unlearned, 304, tmp_path / "larger"))
    )
    wider = save_tiny(tmp_path / "wider", tiny_config(hidden_size=64))
    with pytest.raises(StudyError, match=r"lm_head.weight .*\[300, 64\]"):
        refuse_other_shapes(Checkpoint(original), Checkpoint(wider))
    tied = save_tiny(tmp_path / "tied", tiny_config(tie_word_embeddings=True))
    with pytest.raises(StudyError, match=r"lm_head.weight"):
        refuse_other_shapes(Checkpoint(original), Checkpoint(tied))


def test_weight_changes_compare_the_tokens_of_both(tmp_path: Path) -> None:
    original, unlearned = pair(tmp_path)
    concept, table = tmp_path / "tea.json", tmp_path / "weight_changes.parquet"
    concept.write_text(json.dumps(tiny_concept("tea") | {"Layer": 2, "Dim": 9}), encoding="utf-8")
    tables = []
    for folder in (unlearned, resized(unlearned, 304, tmp_path / "larger")):
        measure_weight_changes.main(
            original=save_manifest(tmp_path, "original", original),
            unlearned=save_manifest(tmp_path, "dpo", folder, "tea"),
            concept_json=concept,
            weight_changes=table,
        )
        tables.append(pd.read_parquet(table))
    pd.testing.assert_frame_equal(*tables)
