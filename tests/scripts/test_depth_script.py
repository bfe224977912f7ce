"""measure_depth: donors that are refused."""

import json
import shutil
from pathlib import Path

import measure_depth
import pytest

from golden_uds import CHECKPOINTS, PROMPT, golden_concept
from stillknows.errors import StudyError
from stillknows.terms import DEPTH_FORMS
from tiny import save_manifest, save_tiny, tiny_config


def measure(folder: Path, donor: Path) -> None:
    concept = folder / "901.json"
    concept.write_text(json.dumps(golden_concept()), encoding="utf-8")
    measure_depth.main(
        original=save_manifest(folder, "original", CHECKPOINTS / "original"),
        donor=save_manifest(folder, "dpo", donor, "901"),
        concept_json=concept,
        forms=list(DEPTH_FORMS),
        prompt=PROMPT,
        dtype="float32",
        device="cpu",
        table=folder / "depth.parquet",
    )


def test_a_donor_with_another_tokenizer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="tiny/dpo/901"):
        measure(tmp_path, save_tiny(tmp_path / "other"))


def test_a_donor_of_another_shape_is_refused(tmp_path: Path) -> None:
    other = save_tiny(tmp_path / "other", tiny_config(vocab_size=1000))
    for file in (CHECKPOINTS / "original").glob("*token*"):
        shutil.copy(file, other)
    with pytest.raises(StudyError, match=r"shape|layers"):
        measure(tmp_path, other)
