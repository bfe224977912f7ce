"""The legacy OLMo format: recognised, mapped tensor by tensor.

Its refusals are in test_refused_checkpoints.py.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional
from transformers import AutoConfig

from stillknows.engine.patches import EXPERIMENTS, Donor
from stillknows.engine.windows import windows_of
from stillknows.models.checkpoint_files import load_tokenizer
from stillknows.models.olmo_legacy import is_legacy
from stillknows.models.reader import Checkpoint, load_model
from stillknows.models.verify import refuse_other_shapes, verify_checkpoint
from stillknows.terms import DENOISING
from stillknows.texts.spans import read_texts
from stillknows.training.methods.grad_diff import GradDiff
from stillknows.training.unlearn import unlearn
from tiny import LAYERS, save_tiny_olmo_legacy, tiny_concept
from tiny_sweeps import loss_of, model_of, recording_of, runs_of, sweep_of

CPU = torch.device("cpu")
IDS = torch.tensor([[7, 30, 41, 9, 200, 77, 3]])


@pytest.fixture
def legacy(tmp_path: Path) -> Path:
    return save_tiny_olmo_legacy(tmp_path / "legacy")


def tensors_of(folder: Path) -> dict[str, Tensor]:
    files = sorted(folder.glob("*.safetensors"))
    return {name: tensor for path in files for name, tensor in load_file(path).items()}


def legacy_logits(folder: Path, ids: Tensor) -> Tensor:
    """(tokens, embedding_size): what ai2-olmo computes, from its own names, in plain arithmetic."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    weights = {
        name.removeprefix("model.transformer.").removesuffix(".weight"): tensor
        for name, tensor in tensors_of(folder).items()
    }
    heads, width = config["n_heads"], config["d_model"] // config["n_heads"]
    keys = 1 if config["multi_query_attention"] else config.get("n_kv_heads") or heads
    tokens = ids.shape[1]
    frequencies = 1.0 / config.get("rope_theta", 10_000) ** (torch.arange(0, width, 2) / width)
    angles = (torch.arange(tokens)[:, None] * frequencies).repeat(1, 2)

    def norm(x: Tensor) -> Tensor:
        return functional.layer_norm(x, x.shape[-1:], eps=1e-5)

    def by_head(x: Tensor) -> Tensor:
        """(tokens, several heads) to (heads, tokens, width)."""
        x = x.view(tokens, -1, width).transpose(0, 1)
        return x.repeat_interleave(heads // len(x), dim=0)

    def turned(x: Tensor) -> Tensor:
        first, second = x.chunk(2, dim=-1)
        return x * angles.cos() + torch.cat((-second, first), dim=-1) * angles.sin()

    x = weights["wte"][ids[0]]
    for layer in range(config["n_layers"]):
        block = f"blocks.{layer}"
        qkv = norm(x) @ weights[f"{block}.att_proj"].T
        if config["clip_qkv"]:
            qkv = qkv.clamp(-config["clip_qkv"], config["clip_qkv"])
        q, k, v = (
            by_head(part) for part in qkv.split([heads * width, keys * width, keys * width], dim=-1)
        )
        scores = turned(q) @ turned(k).transpose(1, 2) / width**0.5
        scores = scores.masked_fill(torch.ones(tokens, tokens).triu(1).bool(), -torch.inf)
        mixed = (scores.softmax(-1) @ v).transpose(0, 1).reshape(tokens, -1)
        x = x + mixed @ weights[f"{block}.attn_out"].T
        up, gate = (norm(x) @ weights[f"{block}.ff_proj"].T).chunk(2, dim=-1)
        x = x + (functional.silu(gate) * up) @ weights[f"{block}.ff_out"].T
    return norm(x) @ weights["wte" if config["weight_tying"] else "ff_out"].T


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"shards": 3},
        {"weight_tying": True},
        {"n_kv_heads": 2},
        {"multi_query_attention": True},
        {"clip_qkv": 0.5},
        {"rope_theta": 500},
        {"model_type": "hf_olmo"},
    ],
    ids=str,
)
def test_logits_are_those_of_the_legacy_arithmetic(tmp_path: Path, changes: dict[str, Any]) -> None:
    folder = save_tiny_olmo_legacy(tmp_path, **changes)
    verify_checkpoint(Checkpoint(folder))
    with torch.no_grad():
        ours = load_model(Checkpoint(folder), torch.float32, CPU)(IDS).logits[0]
    theirs = legacy_logits(folder, IDS)
    assert ours.shape == (IDS.shape[1], 304)
    assert theirs.abs().max() > 1
    assert (ours - theirs).abs().max() <= 1e-5 * theirs.abs().max()


def test_no_weight_is_left_to_chance(legacy: Path) -> None:
    # The trap: transformers takes the config for its own, of OLMo-7B's sizes, and says nothing.
    assert AutoConfig.from_pretrained(legacy).hidden_size == 4096
    checkpoint, stored = Checkpoint(legacy), tensors_of(legacy)
    assert (checkpoint.config.hidden_size, checkpoint.layers) == (32, LAYERS)
    model = load_model(checkpoint, torch.float32, CPU)
    # Each stored value is in the model once, and nothing else is.
    found = torch.cat([parameter.detach().flatten() for parameter in model.parameters()])
    there = torch.cat([tensor.flatten() for tensor in stored.values()])
    assert torch.equal(found.sort().values, there.sort().values)


@pytest.mark.parametrize("name", DENOISING)
def test_a_sweep_is_the_same_over_either_format(tmp_path: Path, name: str) -> None:
    legacy = [save_tiny_olmo_legacy(tmp_path / "original")]
    legacy.append(save_tiny_olmo_legacy(tmp_path / "unlearned", near=legacy[0], seed=1))
    saved = []
    for folder in legacy:
        model = load_model(Checkpoint(folder), torch.float32, CPU)
        saved.append(folder.with_name(f"{folder.name}_transformers"))
        model.save_pretrained(saved[-1])
    texts = read_texts(tiny_concept(), "paper", load_tokenizer(legacy[0]))
    windows = windows_of(["sliding_3"], LAYERS)
    runs = []
    for original, unlearned in (legacy, saved):
        recording = recording_of(original, texts, tmp_path / "recording.safetensors")
        donor = Donor(EXPERIMENTS[name], recording, Checkpoint(original))
        runs.append(runs_of(sweep_of(model_of(unlearned), donor, windows)))
    of_legacy, of_saved = runs
    assert (loss_of(of_legacy[None]) > 0).all()
    for run, scores in of_legacy.items():
        for one, other in zip(scores, of_saved[run], strict=True):
            np.testing.assert_array_equal(one.squared_error, other.squared_error)


def test_transformers_own_format_is_no_legacy_one(legacy: Path, tmp_path: Path) -> None:
    load_model(Checkpoint(legacy), torch.float32, CPU).save_pretrained(tmp_path / "saved")
    saved = Checkpoint(tmp_path / "saved")
    assert (Checkpoint(legacy).format, saved.format) == ("olmo-legacy", "transformers")
    assert saved.config.model_type == "olmo"
    assert verify_checkpoint(saved) == verify_checkpoint(Checkpoint(legacy))
    refuse_other_shapes(saved, Checkpoint(legacy))
    assert not is_legacy({"model_type": "mamba", "d_model": 64})


@pytest.mark.parametrize("tied", [False, True])
def test_a_legacy_model_unlearns_and_is_saved_in_transformers_format(
    tmp_path: Path, tied: bool
) -> None:
    legacy = save_tiny_olmo_legacy(tmp_path / "legacy", weight_tying=tied)
    recipe = GradDiff(learning_rate=1e-3, steps=2, batch_size=1, max_length=32, precision="no")
    unlearned = unlearn(
        legacy,
        tiny_concept("tea"),
        [tiny_concept("salt")],
        [],
        recipe=recipe,
        prompt="paper",
        seed=0,
        device="cpu",
    )
    folder = tmp_path / "saved"
    unlearned.model.save_pretrained(folder)
    unlearned.tokenizer.save_pretrained(folder)
    saved = Checkpoint(folder)
    assert saved.format == "transformers"
    shapes = verify_checkpoint(saved)
    assert ("lm_head.weight" in shapes) is not tied
    refuse_other_shapes(Checkpoint(legacy), saved)
    before, after = (
        checkpoint.read(shapes, torch.float32, CPU) for checkpoint in (Checkpoint(legacy), saved)
    )
    assert all(not torch.equal(before[name], after[name]) for name in shapes)
    texts = ["Tea is hot.", " Salt\n\n2 < 3"]
    tokenizers = [load_tokenizer(path) for path in (legacy, folder)]
    assert tokenizers[0](texts).input_ids == tokenizers[1](texts).input_ids
