"""What the authors' own notebook cells compute, found again by this workflow's scripts.

fixtures/notebook_golden_llama holds small 32-layer checkpoints and golden.json, the numbers of the
notebooks' cells in fp32 and bf16 (its "definition" says how they are computed).
"""

import json
from pathlib import Path
from typing import Any

import dissect_layers
import numpy as np
import pandas as pd
import prepare_concept
import pytest
import record_original
import register_checkpoint

from dissect.results.schema import read_metadata, read_rows
from dissect.study.table import CheckpointRow

GOLDEN = Path(__file__).parents[1] / "fixtures" / "notebook_golden_llama"
NUMBERS = json.loads((GOLDEN / "golden.json").read_text(encoding="utf-8"))
METHODS = ("grad_diff", "dpo")
CONCEPTS = ("901", "902")
EXPERIMENTS = ("mlp_coefficients", "attention", "mlp_coefficients_and_attention", "value_vectors")


def register(folder: Path, method: str, concept: str = "") -> Path:
    name = f"{method}_{concept}" if concept else method
    row = CheckpointRow("llama", method, concept, f"path:{GOLDEN / name}")
    manifest = folder / name / "manifest.json"
    register_checkpoint.main(row=row, manifest=manifest)
    return manifest


def run_cells(folder: Path, dtype: str) -> dict[tuple[str, str, str], Path]:
    """Every cell's parquet, by method, concept and experiment."""
    original = register(folder, "original")
    cells = {}
    for concept in CONCEPTS:
        texts, recording = folder / f"{concept}.json", folder / f"{concept}.safetensors"
        prepare_concept.main(concepts=GOLDEN / "concepts.json", identity=concept, concept=texts)
        common = {"prompt": "paper", "dtype": dtype, "device": "cpu"}
        record_original.main(original=original, concept=texts, recording=recording, **common)
        for method in METHODS:
            unlearned = register(folder, method, concept)
            for experiment in EXPERIMENTS:
                cell = folder / "krs" / method / concept / f"{experiment}.parquet"
                dissect_layers.main(
                    original=original,
                    unlearned=unlearned,
                    concept=texts,
                    recording=recording,
                    experiment=experiment,
                    windows=["sliding_5"],
                    cell=cell,
                    **common,
                )
                cells[method, concept, experiment] = cell
    return cells


Cells = dict[tuple[str, str, str], Path]


@pytest.fixture(scope="module")
def fp32(tmp_path_factory: pytest.TempPathFactory) -> Cells:
    return run_cells(tmp_path_factory.mktemp("fp32"), "float32")


@pytest.fixture(scope="module")
def bf16(tmp_path_factory: pytest.TempPathFactory) -> Cells:
    return run_cells(tmp_path_factory.mktemp("bf16"), "checkpoint")


def values(cell: Path, span: str, column: str) -> np.ndarray:
    """(layers, questions), as golden.json has them."""
    rows = read_rows(cell)
    rows = rows[rows["span"] == span]
    return rows.pivot(index="layer", columns="question", values=column).to_numpy()


def golden(dtype: str, span: str) -> Any:
    return NUMBERS[dtype] if span == "notebook" else NUMBERS["answer_span"][dtype]


@pytest.mark.parametrize("span", ["notebook", "answer"])
@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_fp32_score_and_loss_is_the_notebooks(
    fp32: Cells, experiment: str, span: str
) -> None:
    for method in METHODS:
        for concept in CONCEPTS:
            theirs = golden("fp32", span)[concept][method]
            cell = fp32[method, concept, experiment]
            krs = values(cell, span, "krs")
            assert krs.shape == (32, 6)
            np.testing.assert_allclose(krs, theirs["KRS"][experiment], rtol=0, atol=1e-5)
            np.testing.assert_allclose(
                values(cell, span, "loss_patched"), theirs["patched_loss"][experiment], rtol=1e-5
            )
            np.testing.assert_allclose(
                values(cell, span, "loss_unlearned")[0], theirs["baseline_loss"], rtol=1e-5
            )


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_bf16_curves_are_the_notebooks(bf16: Cells, experiment: str) -> None:
    curves = [
        values(bf16[method, concept, experiment], "notebook", "krs").mean(axis=1)
        for method in METHODS
        for concept in CONCEPTS
    ]
    theirs = NUMBERS["curves"]["bf16"][experiment]
    np.testing.assert_allclose(np.mean(curves, axis=0), theirs, rtol=0, atol=0.01)


def test_a_cell_says_where_it_comes_from(fp32: Cells) -> None:
    cell = fp32["dpo", "901", "attention"]
    rows, metadata = read_rows(cell), read_metadata(cell)
    assert len(rows) == 32 * 6 * 2
    assert rows["concept_name"].unique().tolist() == ["Lantern Week of Ombrey"]
    assert rows["origin"].unique().tolist() == ["own"]
    assert metadata["dtype"] == "torch.float32"
    for key in (
        *("schema_version", "original_source", "unlearned_source", "data_sha256", "config_hash"),
        *("original_weights_sha256", "unlearned_weights_sha256", "packages", "device"),
        *("wall_seconds", "peak_memory_mib"),
    ):
        assert metadata[key], key


def test_answer_logprobs_stand_under_the_answer_span_only(fp32: Cells) -> None:
    rows = read_rows(fp32["dpo", "901", "attention"])
    columns = ["answer_logprob_original", "answer_logprob_unlearned", "answer_logprob_patched"]
    assert rows.loc[rows["span"] == "notebook", columns].isna().all(axis=None)
    assert (rows.loc[rows["span"] == "answer", columns] < 0).all(axis=None)
    # The original was trained on these answers, the unlearned copy away from them.
    known = rows[rows["span"] == "answer"].groupby("question", observed=True)[columns].mean()
    assert (known["answer_logprob_original"] > known["answer_logprob_unlearned"]).all()
    assert pd.api.types.is_float_dtype(rows["krs"])
