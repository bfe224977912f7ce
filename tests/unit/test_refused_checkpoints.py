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

from stillknows.errors import StudyError
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
def copy(tiny_llama: Path, tmp_path: Path) -> Path:
    """A copy of the tiny original that a test may spoil."""
    return Path(shutil.copytree(tiny_llama, tmp_path / "copy"))


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


def refused(call: Callable[[], object], *words: str) -> None:
    with pytest.raises(StudyError) as error:
        call()
    text = str(error.value)
    assert "\n" not in text
    for word in words:
        assert word in text


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
SPOILED: dict[str, tuple[Spoil, tuple[str, ...]]] = {
    "no folder": (shutil.rmtree, ("does not exist",)),
    "no config": (lambda folder: (folder / "config.json").unlink(), ("config.json",)),
    "no weights": (lambda folder: (folder / SINGLE).unlink(), (SINGLE,)),
    "cut short": (lambda folder: os.truncate(folder / SINGLE, 50_000), (SINGLE,)),
    "missing": (tensors(lambda all_: all_.pop(DOWN)), (DOWN,)),
    "left over": (tensors(lambda all_: all_.update(extra=torch.ones(2))), ("extra",)),
    "shape": (
        tensors(lambda all_: all_.update({DOWN: torch.ones(32, 40)})),
        (DOWN, "[32, 40]", "[32, 64]"),
    ),
    "not finite": (tensors(lambda all_: all_[DOWN].view(-1)[7].fill_(torch.nan)), (DOWN,)),
    "family": (config(model_type="mamba"), ("'mamba'", "llama")),
}


@pytest.mark.parametrize("how", SPOILED)
def test_a_checkpoint_that_is_not_whole_is_refused_by_name(copy: Path, how: str) -> None:
    spoil, words = SPOILED[how]
    spoil(copy)
    refused(lambda: register(copy), *words)


# In which formats numbers are stored.


@pytest.mark.parametrize(
    ("dtype", "words"),
    [(torch.int8, "I8"), (torch.float8_e4m3fn, "F8_E4M3"), (torch.float64, "F64")],
)
@pytest.mark.parametrize("format_", ["copy", "legacy"])
def test_stored_number_formats(
    request: pytest.FixtureRequest, format_: str, dtype: torch.dtype, words: str
) -> None:
    folder: Path = request.getfixturevalue(format_)
    part = "down_proj" if format_ == "copy" else "ff_out"
    tensors(lambda all_: all_.update({n: t.to(dtype) for n, t in all_.items() if part in n}))(
        folder
    )
    refused(lambda: register(folder), str(folder / SINGLE), part, words)


@pytest.mark.parametrize("format_", ["copy", "legacy"])
def test_quantised_checkpoints(request: pytest.FixtureRequest, format_: str) -> None:
    folder: Path = request.getfixturevalue(format_)
    config(quantization_config={"quant_method": "fp8"})(folder)
    refused(lambda: register(folder), "config.json", "quantization_config")


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


ROPE = {"rope_theta": 10_000.0}
CONFIGS: dict[str, tuple[Spoil, str]] = {
    "rope type": (config(rope_parameters=ROPE | {"rope_type": "unknown"}), "unknown"),
    "rope without a factor": (config(rope_parameters=ROPE | {"rope_type": "linear"}), "factor"),
    "activation": (config(hidden_act="unknown"), "unknown"),
    "heads": (config(num_attention_heads=5), "not a multiple"),
    "no heads": (config(num_attention_heads=0), "copy"),
    "a size as text": (config(hidden_size="32"), "hidden_size"),
    "a null size": (config(hidden_size=None), "copy"),
    "no layers": (config(num_hidden_layers=0), "54"),
    "endless layers": (config(num_hidden_layers=10**12), "copy"),
    "no window": (config(sliding_window=0), "sliding_window"),
    "dtype unknown": (config(dtype="unknown"), "'unknown'"),
    "dtype in old words": (config(dtype=..., torch_dtype=7), "torch_dtype"),
}


@pytest.mark.parametrize("how", CONFIGS)
def test_a_config_that_describes_no_model(copy: Path, how: str) -> None:
    spoil, words = CONFIGS[how]
    spoil(copy)
    refused(lambda: register(copy), str(copy), words)


LEGACY: dict[str, tuple[dict[str, Any], str]] = {
    "no heads": ({"n_heads": 0}, "num_attention_heads"),
    "heads": ({"n_heads": 5}, "[92, 32]"),
    "endless layers": ({"n_layers": 10**9}, "legacy"),
    "a width as text": ({"d_model": "32"}, "hidden_size"),
    "no rows": ({"embedding_size": 0}, "legacy"),
    "no inner width": ({"mlp_hidden_size": 0}, "[0, 32]"),
}


@pytest.mark.parametrize("how", LEGACY)
def test_a_legacy_config_that_describes_no_model(legacy: Path, how: str) -> None:
    values, words = LEGACY[how]
    config(**values)(legacy)
    refused(lambda: register(legacy), str(legacy), words)


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
