"""What the authors' own notebook cells compute, compared with this workflow's scripts.

fixtures/notebook_golden_llama and notebook_golden_olmo hold small 32-layer checkpoints, Llama's in
transformers' format and OLMo's in the legacy one, and golden.json, the numbers of the notebooks'
cells in fp32 and bf16 (its "definition" says how they are computed).
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dissect_layers
import numpy as np
import pandas as pd
import prepare_concept
import pytest
import record_original

from stillknows.parquet_files import read_metadata
from tiny import save_manifest

FIXTURES = Path(__file__).parents[1] / "fixtures"
METHODS = ("grad_diff", "dpo")
EXPERIMENTS = ("mlp_coefficients", "attention", "mlp_coefficients_and_attention", "value_vectors")
Sweeps = dict[tuple[str, str, str], Path]  # parquet by method, concept and experiment


@dataclass(frozen=True)
class Golden:
    """One family's notebook: its checkpoints, its two concepts, its numbers."""

    family: str
    concepts: tuple[str, str]
    concept_name: str  # of the first concept
    numbers: dict[str, Any] = field(repr=False)

    @property
    def folder(self) -> Path:
        return FIXTURES / f"notebook_golden_{self.family}"

    def of(self, dtype: str, span: str) -> Any:
        return self.numbers[dtype] if span == "notebook" else self.numbers["answer_span"][dtype]


def golden_of(family: str, concepts: tuple[str, str], concept_name: str) -> Golden:
    path = FIXTURES / f"notebook_golden_{family}" / "golden.json"
    return Golden(family, concepts, concept_name, json.loads(path.read_text(encoding="utf-8")))


LLAMA = golden_of("llama", ("901", "902"), "Lantern Week of Ombrey")
OLMO = golden_of("olmo", ("903", "904"), "Merrowick")
both_families = pytest.mark.parametrize("golden", [LLAMA, OLMO], ids=lambda golden: golden.family)


def register(golden: Golden, folder: Path, method: str, concept: str = "") -> Path:
    name = f"{method}_{concept}" if concept else method
    return save_manifest(folder, method, golden.folder / name, concept)


def run_sweeps(golden: Golden, folder: Path, dtype: str) -> Sweeps:
    original = register(golden, folder, "original")
    sweeps = {}
    for concept in golden.concepts:
        texts, recording = folder / f"{concept}.json", folder / f"{concept}.safetensors"
        concepts = golden.folder / "concepts.json"
        prepare_concept.main(concepts=concepts, concept=concept, concept_json=texts)
        common = {"prompt": "paper", "dtype": dtype, "device": "cpu"}
        record_original.main(original=original, concept_json=texts, recording=recording, **common)
        for method in METHODS:
            unlearned = register(golden, folder, method, concept)
            for experiment in EXPERIMENTS:
                sweep = folder / "krs" / method / concept / f"{experiment}.parquet"
                dissect_layers.main(
                    original=original,
                    unlearned=unlearned,
                    concept_json=texts,
                    recording=recording,
                    windows=["sliding_5"],
                    tables=[sweep],
                    **common,
                )
                sweeps[method, concept, experiment] = sweep
    return sweeps


@pytest.fixture(scope="module")
def sweeps_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Golden, str], Sweeps]:
    """A family's sweeps in a dtype, computed once."""
    known: dict[tuple[str, str], Sweeps] = {}

    def sweeps(golden: Golden, dtype: str) -> Sweeps:
        key = golden.family, dtype
        if key not in known:
            known[key] = run_sweeps(golden, tmp_path_factory.mktemp("_".join(key)), dtype)
        return known[key]

    return sweeps


SweepsOf = Callable[[Golden, str], Sweeps]


def values(sweep: Path, span: str, column: str) -> np.ndarray:
    """(layers, questions), as golden.json has them."""
    rows = pd.read_parquet(sweep)
    rows = rows[rows["span"] == span]
    return rows.pivot(index="layer", columns="question", values=column).to_numpy()


@both_families
@pytest.mark.parametrize("span", ["notebook", "answer"])
@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_fp32_score_and_loss_is_the_notebooks(
    sweeps_of: SweepsOf, golden: Golden, experiment: str, span: str
) -> None:
    sweeps = sweeps_of(golden, "float32")
    for method in METHODS:
        for concept in golden.concepts:
            theirs = golden.of("fp32", span)[concept][method]
            sweep = sweeps[method, concept, experiment]
            krs = values(sweep, span, "krs")
            assert krs.shape == (32, 6)
            np.testing.assert_allclose(krs, theirs["KRS"][experiment], rtol=0, atol=1e-5)
            np.testing.assert_allclose(
                values(sweep, span, "loss_patched"), theirs["patched_loss"][experiment], rtol=1e-5
            )
            np.testing.assert_allclose(
                values(sweep, span, "loss_unlearned")[0], theirs["baseline_loss"], rtol=1e-5
            )


@both_families
@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_bf16_curves_are_the_notebooks(
    sweeps_of: SweepsOf, golden: Golden, experiment: str
) -> None:
    sweeps = sweeps_of(golden, "checkpoint")
    curves = [
        values(sweeps[method, concept, experiment], "notebook", "krs").mean(axis=1)
        for method in METHODS
        for concept in golden.concepts
    ]
    theirs = golden.numbers["curves"]["bf16"][experiment]
    np.testing.assert_allclose(np.mean(curves, axis=0), theirs, rtol=0, atol=0.01)


@both_families
def test_a_sweep_says_where_it_comes_from(sweeps_of: SweepsOf, golden: Golden) -> None:
    sweep = sweeps_of(golden, "float32")["dpo", golden.concepts[0], "attention"]
    rows, metadata = pd.read_parquet(sweep), read_metadata(sweep)
    assert len(rows) == 32 * 6 * 2
    assert rows["concept_name"].unique().tolist() == [golden.concept_name]
    assert rows["origin"].unique().tolist() == ["own"]
    assert metadata["dtype"] == "torch.float32"
    for key in (
        *("schema_version", "original_source", "unlearned_source", "data_sha256", "config_hash"),
        *("original_weights_sha256", "unlearned_weights_sha256", "packages", "device"),
        *("wall_seconds", "peak_memory_mib"),
    ):
        assert metadata[key], key


@both_families
def test_answer_logprobs_stand_under_the_answer_span_only(
    sweeps_of: SweepsOf, golden: Golden
) -> None:
    rows = pd.read_parquet(sweeps_of(golden, "float32")["dpo", golden.concepts[0], "attention"])
    columns = ["answer_logprob_original", "answer_logprob_unlearned", "answer_logprob_patched"]
    assert rows.loc[rows["span"] == "notebook", columns].isna().all(axis=None)
    assert (rows.loc[rows["span"] == "answer", columns] < 0).all(axis=None)
    # The original was trained on these answers, the unlearned copy away from them.
    known = rows[rows["span"] == "answer"].groupby("question", observed=True)[columns].mean()
    assert (known["answer_logprob_original"] > known["answer_logprob_unlearned"]).all()
    assert pd.api.types.is_float_dtype(rows["krs"])
