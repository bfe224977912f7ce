"""measure_weight_changes: main() in a temporary folder."""

import json
from pathlib import Path
from typing import Any

import measure_weight_changes
import pandas as pd
import pytest

from stillknows.errors import StudyError
from stillknows.models.reader import Checkpoint
from stillknows.models.weight_changes import component_changes
from stillknows.parquet_files import CHANGES_SCHEMA, read_metadata
from tiny import LAYERS, save_manifest, save_tiny, tiny_concept, tiny_config

VECTOR = {"Layer": 3, "Dim": 5}


def weight_changes(folder: Path, original: Path, unlearned: Path, **concept: Any) -> Path:
    """Run the script on two checkpoint folders."""
    (folder / "tea.json").write_text(json.dumps(tiny_concept("tea") | concept), encoding="utf-8")
    output = folder / "weight_changes/tiny/dpo/tea.parquet"
    measure_weight_changes.main(
        original=save_manifest(folder, "original", original),
        unlearned=save_manifest(folder, "dpo", unlearned, "tea"),
        concept_json=folder / "tea.json",
        weight_changes=output,
    )
    return output


def test_weight_changes_have_every_component_and_the_concept_vector(
    tiny_llama: Path, tiny_unlearned: Path, tmp_path: Path
) -> None:
    path = weight_changes(tmp_path, tiny_llama, tiny_unlearned, **VECTOR)
    rows = pd.read_parquet(path)
    assert list(rows.columns) == CHANGES_SCHEMA.names
    assert len(rows) == 7 * LAYERS + 1
    assert set(rows["concept_name"]) == {"Tea"}
    vector = rows["component"] == "concept_vector"
    (only,) = rows[vector].to_dict("records")
    assert (only["layer"], only["dim"]) == (3, 5)
    assert only["cosine"] < 1 and only["l2"] > 0 and only["jaccard"] < 1
    assert rows[~vector]["relative_change"].tolist() == [
        row["relative_change"]
        for row in component_changes(Checkpoint(tiny_llama), Checkpoint(tiny_unlearned))
    ]
    assert rows[~vector][["dim", "cosine", "l2", "jaccard"]].isna().all(axis=None)
    metadata = read_metadata(path)
    assert metadata["unlearned_source"] == f"path:{tiny_unlearned}"
    assert len(metadata["original_weights_sha256"]) == len(metadata["data_sha256"]) == 64


def test_another_model_is_refused(tiny_llama: Path, tmp_path: Path) -> None:
    other = save_tiny(tmp_path / "other", tiny_config(intermediate_size=80))
    with pytest.raises(StudyError, match="is not a fine-tuned copy of"):
        weight_changes(tmp_path, tiny_llama, other)
    assert not (tmp_path / "weight_changes").exists()
