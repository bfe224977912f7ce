"""measure_depth: donors that are refused."""

import json
import shutil
from pathlib import Path
from typing import Any

import measure_depth
import pytest
import register_checkpoint

from golden_uds import CHECKPOINTS, PROMPT, golden_concept
from stillknows.errors import StudyError
from stillknows.models.checkpoint_row import CheckpointRow
from stillknows.terms import DEPTH_FORMS
from tiny import save_tiny, tiny_config


def register(folder: Path, method: str, source: Path, concept: str = "") -> Path:
    manifest = folder / method / "manifest.json"
    row = CheckpointRow("tiny", method, concept, f"path:{source}")
    register_checkpoint.main(row=row, source=row.source, manifest=manifest)
    return manifest


def depth_of(folder: Path, donor: Path, concept: dict[str, Any]) -> Path:
    (folder / "901.json").write_text(json.dumps(concept), encoding="utf-8")
    table = folder / "depth.parquet"
    measure_depth.main(
        original=register(folder, "original", CHECKPOINTS / "original"),
        donor=register(folder, "dpo", donor, "901"),
        concept_json=folder / "901.json",
        forms=list(DEPTH_FORMS),
        prompt=PROMPT,
        dtype="float32",
        device="cpu",
        table=table,
    )
    return table


def test_a_donor_with_another_tokenizer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="tiny/dpo/901"):
        depth_of(tmp_path, save_tiny(tmp_path / "other"), golden_concept())


def test_a_donor_of_another_shape_is_refused(tmp_path: Path) -> None:
    other = save_tiny(tmp_path / "other", tiny_config(vocab_size=1000))
    for file in (CHECKPOINTS / "original").glob("*token*"):
        shutil.copy(file, other)
    with pytest.raises(StudyError, match=r"shape|layers"):
        depth_of(tmp_path, other, golden_concept())
