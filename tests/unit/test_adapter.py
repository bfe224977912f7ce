"""LoRA adapters: merged weights by tensor arithmetic, and what is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraModel, PeftModel
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoModelForCausalLM, GPTNeoXConfig

from refusals import refused
from stillknows.errors import StudyError
from stillknows.models.adapter import merge_adapter
from stillknows.models.checkpoint_files import ADAPTER_WEIGHTS as WEIGHTS
from stillknows.models.checkpoint_row import CheckpointRow
from stillknows.models.manifest import Manifest, write_manifest
from stillknows.models.reader import Checkpoint
from stillknows.models.verify import refuse_other_shapes, verify_checkpoint
from tiny import NEOX, save_adapter, save_tiny, save_tiny_olmo_legacy, tiny_config


def manifest_of(folder: Path, path: Path) -> Manifest:
    row = CheckpointRow("tiny", "original", "", f"path:{folder}")
    return write_manifest(path, folder, row)


@pytest.fixture
def original(tiny_llama: Path, tmp_path: Path) -> Manifest:
    return manifest_of(tiny_llama, tmp_path / "manifest.json")


@pytest.fixture
def adapter(tiny_llama: Path, tmp_path: Path) -> Path:
    return save_adapter(tmp_path / "adapter", tiny_llama)


def weights(folder: Path) -> dict[str, Tensor]:
    checkpoint = Checkpoint(folder)
    verify_checkpoint(checkpoint)
    return checkpoint.read(checkpoint.files)


def products(adapter: Path, scale: float) -> dict[str, Tensor]:
    """scale * B A by the name of the weight that it is added to."""
    tensors = load_file(adapter / WEIGHTS)
    return {
        name.removeprefix("base_model.model.").replace("lora_A.weight", "weight"): (
            scale * tensors[name.replace("lora_A", "lora_B")].float() @ tensor.float()
        )
        for name, tensor in tensors.items()
        if "lora_A" in name
    }


@pytest.mark.parametrize("ranked", [False, True])
def test_merged_weights_are_w_plus_scale_b_a(
    tiny_llama: Path, original: Manifest, tmp_path: Path, ranked: bool
) -> None:
    adapter = save_adapter(tmp_path / "adapter", tiny_llama, use_rslora=ranked)
    merge_adapter(adapter, original, tmp_path / "merged")
    before, after = weights(tiny_llama), weights(tmp_path / "merged")
    added = products(adapter, 12 / (2 if ranked else 4))
    assert len(added) == 2 * 6
    assert before.keys() == after.keys()
    for name, weight in before.items():
        if name in added:
            torch.testing.assert_close(after[name], weight + added[name], rtol=0, atol=1e-6)
            assert not torch.equal(after[name], weight)
        else:
            assert torch.equal(after[name], weight)
    refuse_other_shapes(Checkpoint(tiny_llama), Checkpoint(tmp_path / "merged"))


@pytest.mark.parametrize("format_", ["olmo-legacy", "gpt_neox"])
def test_other_formats_and_families(tmp_path: Path, format_: str) -> None:
    if format_ == "olmo-legacy":
        folder, modules = save_tiny_olmo_legacy(tmp_path / "original"), ["q_proj", "down_proj"]
    else:
        folder = save_tiny(tmp_path / "original", GPTNeoXConfig(**NEOX))
        modules = ["query_key_value"]
    adapter = save_adapter(tmp_path / "adapter", folder, target_modules=modules)
    merge_adapter(adapter, manifest_of(folder, tmp_path / "m.json"), tmp_path / "merged")
    before, after = weights(folder), weights(tmp_path / "merged")
    added = products(adapter, 3.0)
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved == added.keys()
    for name in moved:
        torch.testing.assert_close(after[name], before[name] + added[name], rtol=0, atol=1e-6)


def change_config(adapter: Path, **values: Any) -> None:
    path = adapter / "adapter_config.json"
    said = json.loads(path.read_text(encoding="utf-8")) | values
    path.write_text(json.dumps(said), encoding="utf-8")


def drop(adapter: Path, part: str) -> None:
    tensors = load_file(adapter / WEIGHTS)
    kept = {name: tensor for name, tensor in tensors.items() if part not in name}
    assert len(kept) < len(tensors)
    save_file(kept, adapter / WEIGHTS)


def change_weights(adapter: Path, change: Callable[[str, Tensor], Tensor]) -> None:
    tensors = load_file(adapter / WEIGHTS)
    save_file({name: change(name, each) for name, each in tensors.items()}, adapter / WEIGHTS)


SPOILED: dict[str, tuple[Any, str]] = {
    "no weights": (lambda a: (a / WEIGHTS).unlink(), "but no adapter_model.safetensors"),
    "cut short": (
        lambda a: (a / WEIGHTS).write_bytes(b"short"),
        "is truncated or not a safetensors",
    ),
    "no JSON": (lambda a: (a / "adapter_config.json").write_text("{"), "is not valid JSON"),
    "text as rank": (lambda a: change_config(a, r="a"), "does not fit tiny/original"),
    "no kind": (lambda a: change_config(a, peft_type=None), "peft_type is None; only LORA"),
    "another": (lambda a: change_config(a, peft_type="IA3"), "peft_type is 'IA3'; only LORA"),
    "rank": (lambda a: change_config(a, r=8), "size mismatch"),
    "no such": (lambda a: change_config(a, target_modules=["c_attn"]), "c_attn"),
    "repeated layers": (
        lambda a: change_config(a, layer_replication=[[0, 4], [2, 6]]),
        "has a layer_replication",
    ),
    "a layer gone": (lambda a: drop(a, "layers.3.self_attn.q_proj.lora_B"), "lacks 1 tensor"),
    "unexpected": (
        lambda a: save_file(load_file(a / WEIGHTS) | {"extra": torch.ones(2)}, a / WEIGHTS),
        "contains 1 unexpected tensor(s), such as",
    ),
}


@pytest.mark.parametrize("how", SPOILED)
def test_a_bad_adapter_is_one_line(
    adapter: Path, original: Manifest, tmp_path: Path, how: str
) -> None:
    spoil, said = SPOILED[how]
    spoil(adapter)
    refused(lambda: merge_adapter(adapter, original, tmp_path / "merged"), said, str(adapter))


def test_an_adapter_of_another_models_shape_is_one_line(adapter: Path, tmp_path: Path) -> None:
    other = save_tiny(tmp_path / "other", tiny_config(hidden_size=64))
    manifest, merged = manifest_of(other, tmp_path / "m.json"), tmp_path / "merged"
    words = ("does not fit tiny/original", "size mismatch")
    refused(lambda: merge_adapter(adapter, manifest, merged), *words)


_BIASES = {"attention_bias": True, "mlp_bias": True}


@pytest.mark.parametrize(
    "model, lora",
    [
        ({"tie_word_embeddings": False}, {"target_modules": ["embed_tokens", "lm_head"]}),
        ({"tie_word_embeddings": False}, {"modules_to_save": ["lm_head"]}),
        (_BIASES, {"bias": "all"}),
        (_BIASES, {"lora_bias": True}),
        ({}, {"use_dora": True, "lora_dropout": 0.5}),
    ],
)
def test_the_merged_checkpoint_computes_what_the_adapter_does(
    tmp_path: Path, model: dict[str, Any], lora: dict[str, Any]
) -> None:
    folder = save_tiny(tmp_path / "original", tiny_config(**model))
    adapter = save_adapter(tmp_path / "adapter", folder, **lora)
    change_weights(adapter, lambda name, tensor: tensor + 0.1 if "lora_" not in name else tensor)
    merge_adapter(adapter, manifest_of(folder, tmp_path / "m.json"), tmp_path / "merged")
    ids = torch.arange(5, 45)[None]
    adapted = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(folder), adapter)
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "merged")
    torch.testing.assert_close(merged(ids).logits, adapted(ids).logits, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "lora",
    [
        {"target_modules": ["embed_tokens"]},
        {"target_modules": ["lm_head"]},
        {"target_modules": ["embed_tokens", "lm_head"], "ensure_weight_tying": True},
        {"modules_to_save": ["embed_tokens", "lm_head"]},
    ],
)
@pytest.mark.filterwarnings("ignore:Model .*tie_word_embeddings")
def test_an_adapter_of_tied_embeddings_is_refused(tmp_path: Path, lora: dict[str, Any]) -> None:
    folder = save_tiny(tmp_path / "original", tiny_config(tie_word_embeddings=True))
    adapter = save_adapter(tmp_path / "adapter", folder, **lora)
    with pytest.raises(StudyError, match="as embedding and as head"):
        merge_adapter(adapter, manifest_of(folder, tmp_path / "m.json"), tmp_path / "merged")
    assert not (tmp_path / "merged").exists()


@pytest.mark.parametrize(
    "lora, part", [({"bias": "all"}, "bias"), ({"modules_to_save": ["lm_head"]}, "lm_head")]
)
def test_an_adapter_that_lacks_what_its_config_names_is_refused(
    tmp_path: Path, lora: dict[str, Any], part: str
) -> None:
    folder = save_tiny(tmp_path / "original", tiny_config(**_BIASES))
    adapter = save_adapter(tmp_path / "adapter", folder, **lora)
    drop(adapter, part)
    with pytest.raises(StudyError, match=f"lacks .*{part}"):
        merge_adapter(adapter, manifest_of(folder, tmp_path / "m.json"), tmp_path / "merged")


def test_a_merge_that_changes_what_the_adapter_computes_is_refused(
    adapter: Path, original: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LoraModel, "merge_and_unload", LoraModel.unload)
    with pytest.raises(StudyError, match="rounding does not explain"):
        merge_adapter(adapter, original, tmp_path / "merged")
    assert not (tmp_path / "merged").exists()
