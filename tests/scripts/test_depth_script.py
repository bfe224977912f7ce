"""The depth of one donor through the script: the published scores once more, and refusals."""

import json
import shutil
from pathlib import Path
from typing import Any

import collect_depth
import measure_depth
import numpy as np
import pandas as pd
import pytest
import register_checkpoint

from dissect.depth.schema import DONOR_SCHEMA
from dissect.errors import DissectError
from dissect.inputs.rows import CheckpointRow
from dissect.results.schema import read_metadata
from dissect.terms import DEPTH_FORMS
from golden_uds import CHECKPOINTS, PROMPT, golden_concept, published_scores
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


def test_published_scores(tmp_path: Path) -> None:
    path = depth_of(tmp_path, CHECKPOINTS / "dpo_901", golden_concept())
    rows = pd.read_parquet(path)
    assert list(rows) == DONOR_SCHEMA.names
    assert len(rows) == 3 * 6 * 32
    both = rows[rows["form"] == "published"].merge(
        published_scores(), left_on=["question", "layer"], right_on=["idx", "layer"]
    )
    np.testing.assert_allclose(both["logprob_original"], both["p_score"], atol=1e-4)
    np.testing.assert_allclose(both["logprob_patched"], both["s2_score"], atol=1e-4)
    metadata = read_metadata(path)
    assert json.loads(metadata["settings"])["forms"] == list(DEPTH_FORMS)
    assert metadata["original_weights_sha256"] != metadata["unlearned_weights_sha256"]


def test_a_fact_that_is_not_in_its_answer_is_refused(tmp_path: Path) -> None:
    concept = golden_concept()
    concept["answer_facts"][3] = "eight nights"
    with pytest.raises(DissectError, match=r"question 3 .*'eight nights' is not in the answer"):
        depth_of(tmp_path, CHECKPOINTS / "dpo_901", concept)


def test_a_donor_with_another_tokenizer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DissectError, match=r"tiny/dpo/901: its tokenizer gives other ids"):
        depth_of(tmp_path, save_tiny(tmp_path / "other"), golden_concept())


def test_a_donor_of_another_shape_is_refused(tmp_path: Path) -> None:
    other = save_tiny(tmp_path / "other", tiny_config(vocab_size=1000))
    for file in (CHECKPOINTS / "original").glob("*token*"):
        shutil.copy(file, other)
    with pytest.raises(DissectError, match=r"shape|layers"):
        depth_of(tmp_path, other, golden_concept())


def test_without_a_depth_there_is_no_table(tmp_path: Path) -> None:
    tables = {name: tmp_path / name for name in ("depth", "uds_table")}
    with pytest.raises(DissectError, match=r"^no depth was measured: .* a reference model .*$"):
        collect_depth.main(depths=[], reference=None, manifests=[], texts=[], study={}, **tables)
    assert not any(path.exists() for path in tables.values())
