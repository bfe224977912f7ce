"""Checkpoints that are not what they should be: one line each, before any work."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, GenerationConfig

from refusals import refused
from stillknows.files import sha256_of
from stillknows.models.checkpoint_row import CheckpointRow
from stillknows.models.manifest import Hashed, read_manifest, write_manifest
from stillknows.models.reader import Checkpoint, load_model
from stillknows.models.verify import verify_checkpoint
from tiny import save_tiny, tiny_config

ROW = CheckpointRow("tiny", "original", "", "path:somewhere")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("tied", [False, True])
def test_a_whole_model_is_what_transformers_loads(
    tmp_path: Path, tied: bool, dtype: torch.dtype
) -> None:
    folder = save_tiny(tmp_path / "model", tiny_config(tie_word_embeddings=tied))
    GenerationConfig(eos_token_id=[1, 3], do_sample=True, top_k=7).save_pretrained(folder)
    ours = load_model(Checkpoint(folder), dtype, torch.device("cpu"))
    theirs = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype)
    ids = torch.tensor([[5, 9, 4, 200]])
    assert torch.equal(ours(ids).logits, theirs(ids).logits)
    assert ours.generation_config.to_dict() == theirs.generation_config.to_dict()
    assert (ours.config.dtype, ours.training) == (dtype, False)
    shapes = {name: tuple(parameter.shape) for name, parameter in theirs.named_parameters()}
    named = dict(ours.named_parameters())
    assert named.keys() == shapes.keys() and verify_checkpoint(Checkpoint(folder)) == shapes
    assert all(parameter.requires_grad for parameter in named.values())
    assert (ours.lm_head.weight is ours.model.embed_tokens.weight) is tied


def test_shards_are_read_like_one_file(copy: Path, tmp_path: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(copy)
    model.save_pretrained(tmp_path / "sharded", max_shard_size="50KB")
    sharded = Checkpoint(tmp_path / "sharded")
    assert len(set(sharded.files.values())) > 2
    verify_checkpoint(sharded)
    for layer in range(sharded.layers):
        ours = sharded.read_layer(layer, torch.float32, torch.device("cpu"))
        theirs = Checkpoint(copy).read_layer(layer, torch.float32, torch.device("cpu"))
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_the_manifest_says_what_it_describes(copy: Path, tmp_path: Path) -> None:
    path = tmp_path / "elsewhere" / "manifest.json"
    written = write_manifest(path, copy, ROW)
    read = read_manifest(path)
    assert read == written
    assert (read.origin, read.layers, read.dtype) == ("own", 6, "float32")
    assert {file.name for file in read.files} >= {"model.safetensors", "config.json"}
    assert read.parameters == sum(
        p.numel() for p in AutoModelForCausalLM.from_pretrained(copy).parameters()
    )


def test_manifest_notices_a_changed_and_a_removed_file(copy: Path, tmp_path: Path) -> None:
    path = tmp_path / "manifest.json"
    write_manifest(path, copy, ROW)
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes() + b"x")
    refused(lambda: read_manifest(path), "its manifest says")
    weights.unlink()
    refused(lambda: read_manifest(path), "is missing")


@pytest.mark.parametrize("seconds", [-(10**6), 10**6])
def test_manifest_notices_other_bytes_of_the_same_size(
    copy: Path, tmp_path: Path, seconds: int
) -> None:
    """Whether they are newer than the manifest or older."""
    path = tmp_path / "manifest.json"
    write_manifest(path, copy, ROW)
    weights = copy / "model.safetensors"
    good = weights.read_bytes()
    then = path.stat().st_mtime_ns + seconds * 10**9
    weights.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    os.utime(weights, ns=(then, then))
    refused(lambda: read_manifest(path), "has sha256 ", ", but its manifest says")
    weights.write_bytes(good)
    os.utime(weights, ns=(then, then))
    assert read_manifest(path).folder == copy


def test_reading_a_manifest_hashes_only_what_changed(
    copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "manifest.json"
    write_manifest(path, copy, ROW)
    hashed: list[str] = []
    monkeypatch.setattr(
        "stillknows.models.manifest.sha256_of",
        lambda file: hashed.append(file.name) or sha256_of(file),
    )
    read_manifest(path)
    assert hashed == []
    os.utime(copy / "config.json")
    read_manifest(path)
    assert hashed == ["config.json"]


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text[:100],
        lambda text: text.replace('"layers": 6', '"layers": "six"'),
        lambda text: text.replace('"dtype": "float32",', ""),
    ],
)
def test_a_broken_manifest_is_refused_by_name(
    copy: Path, tmp_path: Path, change: Callable[[str], str]
) -> None:
    path = tmp_path / "manifest.json"
    write_manifest(path, copy, ROW)
    path.write_text(change(path.read_text()))
    refused(lambda: read_manifest(path), str(path))


def test_known_hashes_are_not_computed_again(copy: Path, tmp_path: Path) -> None:
    known = {"model.safetensors": "a" * 64, "config.json": "b" * 64}
    hashes = {str(copy / name): Hashed.of(copy / name, sha256) for name, sha256 in known.items()}
    names = ["model.safetensors"]
    manifest = write_manifest(tmp_path / "m.json", copy, ROW, hashes=hashes, fetched=names)
    assert {file.name: file.sha256 for file in manifest.files} == known
    assert manifest.fetched == names
