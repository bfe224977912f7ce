"""dissect_layers.py with controls, and check_self_patch.py."""

import json
from pathlib import Path
from typing import Any

import check_self_patch
import dissect_layers
import pandas as pd
import pytest
import record_original
from safetensors import safe_open
from safetensors.torch import save_file

from stillknows.engine.patches import Donor
from stillknows.errors import StudyError
from stillknows.parquet_files import read_metadata
from tiny import LAYERS, save_manifest, save_tiny, tiny_concept

COMMON = {"prompt": "paper", "dtype": "float32", "device": "cpu"}
CONTROLS = {"names": ["other_question", "noise"], "layers": [1, 5], "seed": 0}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """An original, an unlearned copy, a concept, a recording."""
    root = tmp_path_factory.mktemp("study")
    found = {"concept": root / "tea.json", "recording": root / "tea.safetensors"}
    found["concept"].write_text(json.dumps(tiny_concept()), encoding="utf-8")
    folder = save_tiny(root / "original")
    save_tiny(root / "dpo", near=folder, seed=1)
    save_tiny(root / "retain", near=folder, seed=2)
    for method, concept in (("original", ""), ("dpo", "tea"), ("retain", "")):
        found[method] = save_manifest(root, method, root / method, concept)
    record_original.main(
        original=found["original"],
        concept_json=found["concept"],
        recording=found["recording"],
        **COMMON,
    )
    return found


def dissect(study: dict[str, Path], table: Path, experiment: str, **more: Any) -> pd.DataFrame:
    written = table.parent / f"{experiment}.parquet"
    dissect_layers.main(
        original=study["original"],
        unlearned=study["dpo"],
        concept_json=study["concept"],
        recording=study["recording"],
        windows=["sliding_3", "suffix"],
        tables=[written],
        **COMMON,
        **more,
    )
    written.rename(table)
    return pd.read_parquet(table)


@pytest.mark.parametrize("experiment", ["attention", "value_vectors", "all_weights"])
def test_a_sweep_with_controls_has_the_rows_of_one_without(
    study: dict[str, Path], tmp_path: Path, experiment: str
) -> None:
    plain = dissect(study, tmp_path / "plain.parquet", experiment)
    rows = dissect(study, tmp_path / "beside.parquet", experiment, controls=CONTROLS)
    pd.testing.assert_frame_equal(rows.iloc[: len(plain)], plain, check_categorical=False)
    donors = ["other_question", "noise"] if experiment == "attention" else ["noise"]
    control = rows.iloc[len(plain) :]
    assert control["donor"].unique().tolist() == donors
    assert set(control["layer"]) == {1, 5}
    # Of the two kinds of windows, at two layers, three questions, two spans.
    assert len(control) == len(donors) * 2 * 2 * 3 * 2
    assert not control["krs"].isna().any()
    hashes = [
        read_metadata(tmp_path / f"{name}.parquet")["config_hash"] for name in ("plain", "beside")
    ]
    assert hashes[0] != hashes[1]


@pytest.mark.parametrize("experiment", ["attention", "value_vectors"])
def test_a_reference_model_is_a_donor(
    study: dict[str, Path], tmp_path: Path, experiment: str
) -> None:
    controls = CONTROLS | {"names": ["reference"]}
    table, reference = tmp_path / "x.parquet", study["retain"]
    rows = dissect(study, table, experiment, controls=controls, reference=[reference])
    assert rows["donor"].unique().tolist() == ["original", "reference"]
    assert set(rows.loc[rows["donor"] == "reference", "layer"]) == {1, 5}
    assert [path.name for path in tmp_path.iterdir()] == ["x.parquet"]


def check(study: dict[str, Path], method: str, table: Path, **changed: Path) -> None:
    check_self_patch.main(
        original=study["original"],
        checkpoint=study[method],
        concept_json=study["concept"],
        window="sliding_3",
        table=table,
        **{"recording": study["recording"], **changed},
        **COMMON,
    )


def test_the_original_stays_the_original(study: dict[str, Path], tmp_path: Path) -> None:
    check(study, "original", tmp_path / "tea.parquet")
    rows = pd.read_parquet(tmp_path / "tea.parquet")
    assert set(rows["donor"]) == {"self"}
    assert set(rows["method"]) == {"original"} and set(rows["concept"]) == {"tea"}
    assert (rows["loss_unlearned"] == 0).all()
    assert rows["loss_patched"].max() < 1e-10
    assert rows["krs"].isna().all()
    everything = rows[(rows["first_layer"] == 0) & (rows["last_layer"] == LAYERS - 1)]
    assert set(everything["experiment"]) == {"mlp_coefficients_and_attention", "value_vectors"}


def test_the_unlearned_one_stays_unlearned(study: dict[str, Path], tmp_path: Path) -> None:
    check(study, "dpo", tmp_path / "tea.parquet")
    rows = pd.read_parquet(tmp_path / "tea.parquet")
    assert (rows["loss_unlearned"] > 0).all()
    assert rows["krs"].abs().max() < 1e-4
    assert float(read_metadata(tmp_path / "tea.parquet")["largest_change"]) < 1e-4


def changed_recording(study: dict[str, Path], path: Path, name: str, **metadata: str) -> Path:
    """The recording with one layer's tensor doubled, or with other metadata."""
    with safe_open(study["recording"], framework="pt") as file:
        metadata = file.metadata() | metadata
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    if name:
        tensors[name] = 2 * tensors[name]
    save_file(tensors, path, metadata=metadata)
    return path


@pytest.mark.parametrize("name", ["layers.0.attention", "layers.3.coefficients", "logits"])
def test_a_recording_that_is_not_the_originals_fails(
    study: dict[str, Path], tmp_path: Path, name: str
) -> None:
    recording = changed_recording(study, tmp_path / "recording.safetensors", name)
    with pytest.raises(StudyError, match=r"tiny.original") as refused:
        check(study, "original", tmp_path / "tea.parquet", recording=recording)
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "tea.parquet").exists()


def test_value_vectors_of_another_layer_fail(
    study: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = Donor.weights
    monkeypatch.setattr(
        Donor, "weights", lambda self, layer, *where: weights(self, max(0, layer - 1), *where)
    )
    with pytest.raises(StudyError, match=r"\(value_vectors\)"):
        check(study, "original", tmp_path / "tea.parquet")


@pytest.mark.parametrize("key", ["original_weights_sha256", "data_sha256", "dtype"])
@pytest.mark.parametrize("script", ["dissect_layers", "check_self_patch"])
def test_a_recording_from_other_inputs_is_refused(
    study: dict[str, Path], tmp_path: Path, script: str, key: str
) -> None:
    foreign = changed_recording(study, tmp_path / "foreign.safetensors", "", **{key: "other"})
    expected = f'{foreign} does not belong to this study: {key} is "other", expected .*; delete it'
    with pytest.raises(StudyError, match=expected):
        if script == "dissect_layers":
            dissect(study | {"recording": foreign}, tmp_path / "sweep.parquet", "attention")
        else:
            check(study, "dpo", tmp_path / "table.parquet", recording=foreign)
