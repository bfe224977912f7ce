"""Reading the next layer while this one computes; the thread alone, without a GPU."""

import os
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from dissect.checkpoints import announce
from dissect.checkpoints.reader import Checkpoint
from dissect.engine.ahead import Ahead
from dissect.engine.skeleton import Skeleton
from dissect.errors import DissectError
from tiny import LAYERS

CPU = torch.device("cpu")


def test_the_next_layer_is_read_before_it_is_asked_for() -> None:
    begun = [threading.Event() for _ in range(3)]

    def read(index: int) -> dict[str, torch.Tensor]:
        begun[index].set()
        return {"weight": torch.tensor([float(index)])}

    ahead = Ahead(read, 3, torch.bfloat16, CPU)
    assert ahead.layer(0)["weight"] == 0
    begun[1].wait()
    assert not begun[2].is_set()
    assert ahead.layer(1)["weight"] == 1
    begun[2].wait()
    weight = ahead.layer(2)["weight"]
    assert (weight.item(), weight.dtype) == (2, torch.bfloat16)


def test_each_layer_is_read_once_in_ascending_order_and_any_other_is_right_too() -> None:
    reads: list[int] = []

    def read(index: int) -> dict[str, torch.Tensor]:
        reads.append(index)
        return {"weight": torch.tensor([float(index)])}

    ahead = Ahead(read, 4, torch.float32, CPU)
    assert [int(ahead.layer(index)["weight"]) for index in range(4)] == [0, 1, 2, 3]
    assert reads == [0, 1, 2, 3]
    assert [int(ahead.layer(index)["weight"]) for index in (0, 3, 1)] == [0, 3, 1]


def test_what_reading_raises_is_raised_where_the_layer_is_wanted() -> None:
    def read(index: int) -> dict[str, torch.Tensor]:
        if index:
            raise DissectError("the file is gone")
        return {}

    ahead = Ahead(read, 2, torch.float32, CPU)
    ahead.layer(0)
    with pytest.raises(DissectError, match="the file is gone"):
        ahead.layer(1)


def test_layers_read_ahead_are_those_of_the_files(
    tiny_llama: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Skeleton, "reads_ahead", True)
    skeleton = Skeleton(Checkpoint(tiny_llama), torch.bfloat16, CPU)
    for index in range(LAYERS):
        with skeleton.layer(index) as layer:
            found = dict(layer.module.named_parameters())
            wanted = Checkpoint(tiny_llama).read_layer(index, torch.bfloat16, CPU)
            assert found.keys() == wanted.keys()
            assert all(torch.equal(found[name], wanted[name]) for name in wanted)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Path, int, int]]:
    """What the system is asked to bring into memory: file, first byte, bytes."""
    asked = []

    def note(descriptor: int, first: int, size: int, advice: int) -> None:
        assert advice == os.POSIX_FADV_WILLNEED
        asked.append((Path(f"/proc/self/fd/{descriptor}").resolve(), first, size))

    monkeypatch.setattr(os, "posix_fadvise", note)
    return asked


def wait_for_threads() -> None:
    for thread in threading.enumerate():
        if thread.name == announce.THREAD:
            thread.join()


def bytes_of(asked: list[tuple[Path, int, int]]) -> bytes:
    return b"".join(path.read_bytes()[first : first + size] for path, first, size in asked)


@pytest.mark.parametrize("shard", ["1GB", "50KB"])
def test_announced_are_exactly_the_bytes_of_the_parameters(
    shard: str,
    tiny_llama: Path,
    tmp_path: Path,
    asked: list[tuple[Path, int, int]],
    monkeypatch: Any,
) -> None:
    monkeypatch.setattr(announce, "_ASKED", 1000)  # many questions for one tensor
    model: Any = AutoModelForCausalLM.from_pretrained(tiny_llama)
    model.save_pretrained(tmp_path, max_shard_size=shard)
    checkpoint = Checkpoint(tmp_path)
    checkpoint.announce(checkpoint.layer_names(2))
    wait_for_threads()
    tensors = checkpoint.read(checkpoint.layer_names(2)).values()
    wanted = [tensor.view(torch.uint8).numpy().tobytes() for tensor in tensors]
    assert sum(size for *_, size in asked) == sum(map(len, wanted))
    assert all(size <= 1000 for *_, size in asked)
    found = bytes_of(asked)
    assert all(one in found for one in wanted)


def test_of_what_is_not_there_nothing_is_announced(
    tiny_llama: Path, tmp_path: Path, asked: list[tuple[Path, int, int]]
) -> None:
    folder = Path(shutil.copytree(tiny_llama, tmp_path / "model"))
    checkpoint = Checkpoint(folder)
    checkpoint.announce(checkpoint.layer_names(LAYERS))
    checkpoint.announce([checkpoint.value_vectors_name(LAYERS)])
    names = checkpoint.layer_names(0)
    (folder / "model.safetensors").write_bytes(b"no safetensors file")
    checkpoint.announce(names)
    (folder / "model.safetensors").unlink()
    checkpoint.announce(names)
    wait_for_threads()
    assert asked == []


def test_a_layer_that_computes_has_announced_the_next(
    tiny_llama: Path, asked: list[tuple[Path, int, int]]
) -> None:
    skeleton = Skeleton(Checkpoint(tiny_llama), torch.float32, CPU)
    with skeleton.layer(1):
        wait_for_threads()
        wanted = skeleton.checkpoint.read_value_vectors(2, torch.float32, CPU)
        assert wanted.numpy().tobytes() in bytes_of(asked)


def test_products_are_as_exact_on_a_gpu_as_their_format(tiny_llama: Path) -> None:
    products = torch.backends.cuda.matmul
    products.allow_bf16_reduced_precision_reduction = True
    products.fp32_precision = "tf32"
    Skeleton(Checkpoint(tiny_llama), torch.float32, CPU)
    assert products.fp32_precision == "ieee"
    assert not products.allow_bf16_reduced_precision_reduction
    assert not products.allow_fp16_reduced_precision_reduction
