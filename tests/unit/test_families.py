"""Each family of the table against plain hooks on a whole model of its own class."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from test_sweep import assert_equal_to_hooks
from transformers import (
    AutoModelForCausalLM,
    Gemma2Config,
    Gemma3TextConfig,
    GPTNeoXConfig,
    Olmo2Config,
    Olmo3Config,
    OlmoConfig,
    Phi3Config,
    Qwen3Config,
    SmolLM3Config,
)

from stillknows.errors import StudyError
from stillknows.models.families import FAMILIES, family_of
from stillknows.models.reader import Checkpoint, load_model
from stillknows.models.verify import verify_checkpoint
from stillknows.terms import DENOISING
from tiny import LAYERS, NEOX, SIZES, save_tiny

CPU = torch.device("cpu")
# Texts are longer than the sliding windows.
SLIDING: dict[str, Any] = {
    "sliding_window": 8,
    "layer_types": ["sliding_attention", "full_attention"] * (LAYERS // 2),
}
CONFIGS: dict[str, Any] = {
    "gemma2": Gemma2Config(**SIZES | SLIDING, head_dim=16, query_pre_attn_scalar=16),
    "gemma2, tied": Gemma2Config(**SIZES | {"tie_word_embeddings": True}, head_dim=8),
    "gemma3_text": Gemma3TextConfig(**SIZES | SLIDING, head_dim=16),
    "gpt_neox": GPTNeoXConfig(**NEOX),
    "gpt_neox, one after the other": GPTNeoXConfig(**NEOX, use_parallel_residual=False),
    "gpt_neox, tied": GPTNeoXConfig(**NEOX | {"tie_word_embeddings": True}),
    "olmo": OlmoConfig(**SIZES, clip_qkv=0.5),
    "olmo2": Olmo2Config(**SIZES),
    "olmo3": Olmo3Config(**SIZES | SLIDING),
    "phi3": Phi3Config(**SIZES, sliding_window=8),
    "qwen3": Qwen3Config(**SIZES, head_dim=16),
    "smollm3": SmolLM3Config(**SIZES, no_rope_layer_interval=2),
}
# test_sweep has these.
ELSEWHERE = {"llama", "mistral", "qwen2"}


def test_every_row_of_the_table_is_verified() -> None:
    assert {config.model_type for config in CONFIGS.values()} | ELSEWHERE == FAMILIES.keys()


@pytest.mark.parametrize("experiment", DENOISING)
@pytest.mark.parametrize("case", CONFIGS)
def test_logits_equal_plain_hooks(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, case: str, experiment: str
) -> None:
    original = save_tiny(tmp_path / "original", CONFIGS[case])
    unlearned = save_tiny(tmp_path / "unlearned", near=original, seed=1)
    assert_equal_to_hooks(monkeypatch, tmp_path, original, unlearned, experiment)


@pytest.mark.parametrize("case", CONFIGS)
def test_a_whole_model_is_what_transformers_loads(tmp_path: Path, case: str) -> None:
    folder = save_tiny(tmp_path, CONFIGS[case])
    checkpoint = Checkpoint(folder)
    ours = load_model(checkpoint, torch.bfloat16, CPU)
    theirs = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16)
    ids = torch.tensor([list(range(5, 25))])
    assert torch.equal(ours(ids).logits, theirs(ids).logits)
    parameters = dict(theirs.named_parameters())
    assert verify_checkpoint(checkpoint) == {
        name: tuple(parameter.shape) for name, parameter in parameters.items()
    }


def test_gpt_neox_files_call_the_head_otherwise(tmp_path: Path) -> None:
    folder = save_tiny(tmp_path, CONFIGS["gpt_neox"])
    path = folder / "model.safetensors"
    tensors = load_file(path)
    assert "embed_out.weight" in tensors
    # Older files carry buffers, too.
    attention = "gpt_neox.layers.0.attention"
    tensors[f"{attention}.bias"] = torch.ones(1, 1, 8, 8)
    tensors[f"{attention}.masked_bias"] = torch.tensor(-1e9)
    tensors[f"{attention}.rotary_emb.inv_freq"] = torch.ones(4)
    save_file(tensors, path)
    assert "lm_head.weight" in verify_checkpoint(Checkpoint(folder))
    del tensors["embed_out.weight"]
    save_file(tensors, path)
    with pytest.raises(StudyError, match=r"lacks 1 tensor\(s\): embed_out.weight"):
        verify_checkpoint(Checkpoint(folder))


def test_a_head_under_both_names_is_refused(tmp_path: Path) -> None:
    folder = save_tiny(tmp_path, CONFIGS["gpt_neox"])
    path = folder / "model.safetensors"
    tensors = load_file(path)
    save_file(tensors | {"lm_head.weight": tensors["embed_out.weight"] + 1}, path)
    with pytest.raises(StudyError, match=r"(lm_head|embed_out)"):
        verify_checkpoint(Checkpoint(folder))


@pytest.mark.parametrize("model_type", ["gemma3", "gpt2", "hf_olmo", "mixtral", "phi"])
def test_other_families_are_refused_with_the_list(model_type: str) -> None:
    known = ", ".join(sorted(FAMILIES))
    with pytest.raises(StudyError, match=f"'{model_type}' .*{known}"):
        family_of(model_type)
