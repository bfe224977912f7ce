"""Folders that no checkpoint should look like: one line that names the file, before any work."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoModelForCausalLM

from refusals import refused
from stillknows.models.checkpoint_files import load_tokenizer
from stillknows.models.checkpoint_row import CheckpointRow
from stillknows.models.manifest import write_manifest
from stillknows.models.reader import Checkpoint
from stillknows.study.checkpoint_table import check_folder, layers_of
from tiny import save_tiny_olmo_legacy

INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
DEEP = '{"a":' * 100_000 + "1" + "}" * 100_000
Spoil = Callable[[Path], object]


@pytest.fixture
def legacy(tmp_path: Path) -> Path:
    return save_tiny_olmo_legacy(tmp_path / "legacy")


@pytest.fixture
def sharded(copy: Path) -> Path:
    shard(copy)
    return copy


def row(folder: Path) -> CheckpointRow:
    return CheckpointRow("tiny", "original", "", f"path:{folder}")


def register(folder: Path) -> None:
    write_manifest(folder.parent / "manifest.json", folder, row(folder))


def shard(folder: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(folder)
    (folder / SINGLE).unlink()
    model.save_pretrained(folder, max_shard_size="50KB")


def write(name: str, content: str | bytes) -> Spoil:
    data = content if isinstance(content, bytes) else content.encode()
    return lambda folder: (folder / name).write_bytes(data)


def config(**values: Any) -> Spoil:
    """Change keys of config.json; ... takes one out."""

    def spoil(folder: Path) -> None:
        path = folder / "config.json"
        said = json.loads(path.read_text(encoding="utf-8")) | values
        said = {key: value for key, value in said.items() if value is not ...}
        path.write_text(json.dumps(said), encoding="utf-8")

    return spoil


def tensors(change: Callable[[dict[str, Tensor]], object]) -> Spoil:
    """Change the tensors of the file in place."""

    def spoil(folder: Path) -> None:
        loaded = load_file(folder / SINGLE)
        change(loaded)
        save_file(loaded, folder / SINGLE, metadata={"format": "pt"})

    return spoil


# Which files hold the weights.


def test_a_copy_saved_over_a_sharded_original_is_refused(sharded: Path, tiny_llama: Path) -> None:
    shutil.copy(tiny_llama / SINGLE, sharded / SINGLE)
    words = (str(sharded), f"both {SINGLE} and {INDEX}", "remove the set")
    refused(lambda: check_folder(row(sharded)), *words)
    refused(lambda: register(sharded), *words)
    (sharded / INDEX).unlink()
    check_folder(row(sharded))
    assert Checkpoint(sharded).files["lm_head.weight"] == sharded / SINGLE


def index_of(weight_map: Any) -> str:
    return json.dumps({"metadata": {}, "weight_map": weight_map})


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "JSON"),
        (DEEP, "nested"),
        ("{}", "weight_map"),
        (index_of({}), "weight_map"),
        (index_of({"a": 7}), "'7'"),
        (index_of({"a": "../model.safetensors"}), "'../model.safetensors'"),
        (index_of({"a": "pytorch_model.bin"}), "'pytorch_model.bin'"),
    ],
)
def test_an_odd_index(sharded: Path, content: str | bytes, words: str) -> None:
    write(INDEX, content)(sharded)
    refused(lambda: check_folder(row(sharded)), str(sharded / INDEX), words)
    refused(lambda: register(sharded), str(sharded / INDEX), words)


def test_shards_may_be_links_as_in_the_cache_of_the_hub(sharded: Path) -> None:
    for path in sharded.glob("*.safetensors"):
        blob = sharded.parent / "blobs" / path.name
        blob.parent.mkdir(exist_ok=True)
        path.rename(blob)
        path.symlink_to(blob)
    write(INDEX, b"\xef\xbb\xbf" + (sharded / INDEX).read_bytes())(sharded)  # and with a BOM
    check_folder(row(sharded))
    register(sharded)


# What the files hold.


DOWN = "model.layers.2.mlp.down_proj.weight"
ROPE = {"rope_theta": 10_000.0}
QUANTISED = {"quantization_config": {"quant_method": "fp8"}}


def stored_as(dtype: torch.dtype, part: str) -> Spoil:
    return tensors(lambda all_: all_.update({n: t.to(dtype) for n, t in all_.items() if part in n}))


BLOCK = "model.transformer.blocks.2"
# Keys of a legacy OLMo config with values for which transformers' OLMo computes something else.
OTHER_OLMO: list[tuple[str, object]] = [
    ("activation_type", "gelu"),
    ("alibi", True),
    ("attention_layer_norm", True),
    ("block_group_size", 2),
    ("block_type", "parallel"),
    ("include_bias", True),
    ("layer_norm_eps", 1e-6),
    ("layer_norm_type", "rms"),
    ("layer_norm_with_affine", True),
    ("norm_after", True),
    ("residual_dropout", 0.1),
    ("rope", False),
    ("rope", ...),  # ai2-olmo's default is another
    ("scale_logits", True),
]


def without(name: str) -> Spoil:
    return tensors(lambda all_: all_.pop(name))


def olmo_message(key: str, value: object) -> str:
    given = json.dumps(None if value is ... else value)
    return f"legacy OLMo with {key} = {given} cannot be read, only"


# The fixture that is spoilt, how, and what the message names.
SPOILED: list[tuple[str, Spoil, tuple[str, ...]]] = [
    ("copy", shutil.rmtree, ("does not exist",)),
    ("copy", lambda folder: (folder / "config.json").unlink(), ("config.json",)),
    ("copy", lambda folder: (folder / SINGLE).unlink(), (SINGLE,)),
    ("copy", lambda folder: os.truncate(folder / SINGLE, 50_000), (SINGLE,)),
    ("copy", without(DOWN), (DOWN,)),
    *[
        ("legacy", without(name), ("legacy", "lacks 1 tensor(s)", name))
        for part in ("att_proj", "attn_out", "ff_proj", "ff_out")
        for name in (f"{BLOCK}.{part}.weight",)
    ],
    ("copy", tensors(lambda all_: all_.update(extra=torch.ones(2))), ("extra",)),
    (
        "copy",
        tensors(lambda all_: all_.update({DOWN: torch.ones(32, 40)})),
        (DOWN, "[32, 40]", "[32, 64]"),
    ),
    ("copy", tensors(lambda all_: all_[DOWN].view(-1)[7].fill_(torch.nan)), (DOWN,)),
    # Formats of numbers.
    *[
        (fixture, stored_as(dtype, part), (SINGLE, part, name))
        for fixture, part in (("copy", "down_proj"), ("legacy", "ff_out"))
        for dtype, name in (
            (torch.int8, "I8"),
            (torch.float8_e4m3fn, "F8_E4M3"),
            (torch.float64, "F64"),
        )
    ],
    ("copy", config(**QUANTISED), ("config.json", "quantization_config")),
    ("legacy", config(**QUANTISED), ("config.json", "quantization_config")),
    # Configs that describe no model.
    ("copy", config(model_type="mamba"), ("'mamba'", "llama")),
    ("copy", config(rope_parameters=ROPE | {"rope_type": "unknown"}), ("copy", "unknown")),
    ("copy", config(rope_parameters=ROPE | {"rope_type": "linear"}), ("copy", "factor")),
    ("copy", config(hidden_act="unknown"), ("copy", "unknown")),
    ("copy", config(num_attention_heads=5), ("copy", "not a multiple")),
    ("copy", config(num_attention_heads=0), ("copy",)),
    ("copy", config(hidden_size="32"), ("copy", "hidden_size")),
    ("copy", config(hidden_size=None), ("copy",)),
    ("copy", config(num_hidden_layers=0), ("copy", "54")),
    ("copy", config(num_hidden_layers=10**12), ("copy",)),
    ("copy", config(sliding_window=0), ("copy", "sliding_window")),
    ("copy", config(dtype="unknown"), ("copy", "'unknown'")),
    ("copy", config(dtype=..., torch_dtype=7), ("copy", "torch_dtype")),
    ("legacy", config(n_heads=0), ("legacy", "num_attention_heads")),
    ("legacy", config(n_heads=5), ("legacy", "[92, 32]")),
    ("legacy", config(n_layers=10**9), ("legacy",)),
    ("legacy", config(d_model="32"), ("legacy", "hidden_size")),
    ("legacy", config(embedding_size=0), ("legacy",)),
    ("legacy", config(mlp_hidden_size=0), ("legacy", "[0, 32]")),
    *[
        ("legacy", config(**{key: value}), ("legacy", olmo_message(key, value)))
        for key, value in OTHER_OLMO
    ],
]


@pytest.mark.parametrize(("fixture", "spoil", "words"), SPOILED)
def test_a_checkpoint_that_cannot_be_used_is_refused_by_name(
    request: pytest.FixtureRequest, fixture: str, spoil: Spoil, words: tuple[str, ...]
) -> None:
    folder: Path = request.getfixturevalue(fixture)
    spoil(folder)
    # `copy` and `legacy` stand for the folder, whose whole path the message gives.
    refused(lambda: register(folder), *[str(folder) if w == fixture else w for w in words])


# What config.json says.


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "JSON"),
        ("[]", "JSON object"),
        (b'{"a": "\xff"}', "UTF-8"),
        (DEEP, "nested"),
        ('{"model_type": "llama", "rms_norm_eps": NaN}', "NaN"),
    ],
)
def test_a_config_that_is_no_object(copy: Path, content: str | bytes, words: str) -> None:
    path = copy / "config.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    for call in (check_folder, lambda it: layers_of(Path(it.location))):
        refused(lambda call=call: call(row(copy)), str(path), words)  # type: ignore[misc]
    refused(lambda: register(copy), str(path), words)
    refused(lambda: load_tokenizer(copy), str(path), words)


# The other files.


@pytest.mark.parametrize("format_", ["copy", "legacy"])
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("tokenizer.json", "{"),
        ("tokenizer.json", '{"version": "1.0", "model": {"type": "unknown"}, "added_tokens": []}'),
        ("tokenizer_config.json", DEEP),
        ("tokenizer_config.json", '{"bos_token": {"a": 1}}'),
        ("special_tokens_map.json", "["),
        ("chat_template.jinja", b"\xff"),
    ],
)
def test_a_broken_tokenizer(
    request: pytest.FixtureRequest, format_: str, name: str, content: str | bytes
) -> None:
    folder: Path = request.getfixturevalue(format_)
    write(name, content)(folder)
    refused(lambda: load_tokenizer(folder), str(folder))
