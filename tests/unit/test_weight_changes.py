"""Weight changes, compared with tensor arithmetic on whole models."""

from pathlib import Path
from typing import Any

import pytest
import torch
from test_families import CONFIGS
from torch import Tensor
from transformers import AutoModelForCausalLM, Qwen2Config

from stillknows.models.families import FAMILIES
from stillknows.models.reader import Checkpoint, load_model
from stillknows.models.weight_changes import compare_concept_vectors, component_changes
from tiny import LAYERS, SIZES, save_tiny, save_tiny_olmo_legacy, tiny_config

CASES: dict[str, Any] = CONFIGS | {"llama": tiny_config(), "qwen2": Qwen2Config(**SIZES)}


def weights_of(model: Any, layer: int) -> dict[str, Tensor]:
    """Each component's weight, written out per family with nothing of the table of families."""
    config = model.config
    block = model.base_model.layers[layer]
    heads = config.num_attention_heads
    if config.model_type == "gpt_neox":
        fused = block.attention.query_key_value.weight
        size = config.hidden_size // heads
        rows = {
            name: torch.cat([fused[(3 * h + i) * size : (3 * h + i + 1) * size] for h in range(4)])
            for i, name in enumerate("qkv")
        }
        mlp = {"up": block.mlp.dense_h_to_4h.weight, "down": block.mlp.dense_4h_to_h.weight}
        return rows | {"o": block.attention.dense.weight} | mlp
    o, down = block.self_attn.o_proj.weight, block.mlp.down_proj.weight
    if config.model_type == "phi3":
        fused, both = block.self_attn.qkv_proj.weight, block.mlp.gate_up_proj.weight
        size, kv = config.hidden_size // heads, config.num_key_value_heads
        ends = [heads * size, (heads + kv) * size, (heads + 2 * kv) * size]
        assert fused.shape[0] == ends[-1]
        return {
            "q": fused[: ends[0]],
            "k": fused[ends[0] : ends[1]],
            "v": fused[ends[1] :],
            "gate": both[: config.intermediate_size],
            "up": both[config.intermediate_size :],
            "o": o,
            "down": down,
        }
    attention = {name: getattr(block.self_attn, f"{name}_proj").weight for name in "qkv"}
    mlp = {name: getattr(block.mlp, f"{name}_proj").weight for name in ("gate", "up")}
    return attention | mlp | {"o": o, "down": down}


@torch.no_grad()
def changes_of(before: Any, after: Any) -> dict[tuple[str, int], float]:
    """What is expected, from two whole models."""
    expected = {}
    for layer in range(LAYERS):
        ours, theirs = weights_of(before, layer), weights_of(after, layer)
        for name, weight in ours.items():
            exact = weight.double()
            change = torch.linalg.matrix_norm(theirs[name].double() - exact)
            expected[name, layer] = float(change / torch.linalg.matrix_norm(exact))
    return expected


def found_in(original: Path, unlearned: Path) -> dict[tuple[str, int], float]:
    rows = list(component_changes(Checkpoint(original), Checkpoint(unlearned)))
    found = {(row["component"], row["layer"]): row["relative_change"] for row in rows}
    assert len(found) == len(rows)
    return found


def whole(folder: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)


def test_every_family_has_a_case() -> None:
    assert {config.model_type for config in CASES.values()} | {"mistral"} == FAMILIES.keys()


@pytest.mark.parametrize("case", CASES)
def test_components_move_as_tensor_arithmetic_says(tmp_path: Path, case: str) -> None:
    original = save_tiny(tmp_path / "original", CASES[case])
    unlearned = save_tiny(tmp_path / "unlearned", near=original, seed=1)
    expected = changes_of(whole(original), whole(unlearned))
    found = found_in(original, unlearned)
    assert found == pytest.approx(expected, rel=1e-12)
    assert min(found.values()) > 0.1
    assert ("gate", 0) in found or case.startswith("gpt_neox")


def test_legacy_olmo_against_its_transformers_form(tmp_path: Path) -> None:
    legacy = save_tiny_olmo_legacy(tmp_path / "legacy")
    other = save_tiny_olmo_legacy(tmp_path / "other", near=legacy, seed=1)
    models = [
        load_model(Checkpoint(folder), torch.float32, torch.device("cpu"))
        for folder in (legacy, other)
    ]
    assert found_in(legacy, other) == pytest.approx(changes_of(*models), rel=1e-12)
    # The paper's OLMo: an original in the one format, its unlearned copies in the other.
    models[0].save_pretrained(tmp_path / "saved")
    assert found_in(tmp_path / "saved", other) == found_in(legacy, other)


def test_one_component_moved_is_one_row_that_is_not_zero(tiny_llama: Path, tmp_path: Path) -> None:
    model = whole(tiny_llama)
    with torch.no_grad():
        model.model.layers[2].self_attn.k_proj.weight *= 1.25
    model.save_pretrained(tmp_path)
    found = found_in(tiny_llama, tmp_path)
    assert found.pop(("k", 2)) == pytest.approx(0.25, rel=1e-6)
    assert set(found.values()) == {0.0}


def test_shards_and_bfloat16_are_read_alike(tiny_llama: Path, tmp_path: Path) -> None:
    model = whole(tiny_llama).to(torch.bfloat16)
    model.save_pretrained(tmp_path / "sharded", max_shard_size="50KB")
    assert len(list((tmp_path / "sharded").glob("*.safetensors"))) > 2
    expected = changes_of(whole(tiny_llama), model)
    assert found_in(tiny_llama, tmp_path / "sharded") == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("tied", [False, True])
def test_the_concept_vector_against_whole_models(tmp_path: Path, tied: bool) -> None:
    original = save_tiny(tmp_path / "original", tiny_config(tie_word_embeddings=tied))
    unlearned = save_tiny(tmp_path / "unlearned", near=original, seed=1, by=0.01)
    found = compare_concept_vectors(Checkpoint(original), Checkpoint(unlearned), 4, 63)
    models = whole(original).requires_grad_(False), whole(unlearned).requires_grad_(False)
    ours, theirs = (m.model.layers[4].mlp.down_proj.weight[:, 63].double() for m in models)
    tops = [
        set((m.lm_head.weight.double() @ vector).argsort(descending=True)[:200].tolist())
        for m, vector in zip(models, (ours, theirs), strict=True)
    ]
    l2 = float((ours - theirs).norm())
    assert found == {
        "layer": 4,
        "dim": 63,
        "relative_change": pytest.approx(l2 / float(ours.norm())),
        "cosine": pytest.approx(float(torch.cosine_similarity(ours, theirs, dim=0))),
        "l2": pytest.approx(l2),
        "jaccard": len(tops[0] & tops[1]) / len(tops[0] | tops[1]),
    }
    assert 0.5 < found["jaccard"] < 1


@pytest.mark.parametrize("case", ["llama", "gpt_neox", "gpt_neox, tied", "phi3", "gemma2, tied"])
def test_a_concept_vector_that_stands(tmp_path: Path, case: str) -> None:
    folder = save_tiny(tmp_path, CASES[case])
    found = compare_concept_vectors(Checkpoint(folder), Checkpoint(folder), 1, 2)
    assert (found["l2"], found["relative_change"], found["jaccard"]) == (0, 0, 1)
    assert found["cosine"] == pytest.approx(1)
