"""What the system is asked to bring into memory before it is read."""

import os
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from stillknows.models import reader
from stillknows.models.reader import Checkpoint
from tiny_sweeps import model_of

CPU = torch.device("cpu")


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
        if thread.name == reader._READAHEAD_THREAD:
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
    monkeypatch.setattr(reader, "_ASKED", 1000)  # many questions for one tensor
    model: Any = AutoModelForCausalLM.from_pretrained(tiny_llama)
    model.save_pretrained(tmp_path, max_shard_size=shard)
    checkpoint = Checkpoint(tmp_path)
    checkpoint.readahead(checkpoint.layer_names(2))
    wait_for_threads()
    tensors = checkpoint.read(checkpoint.layer_names(2)).values()
    wanted = [tensor.view(torch.uint8).numpy().tobytes() for tensor in tensors]
    assert sum(size for *_, size in asked) == sum(map(len, wanted))
    assert all(size <= 1000 for *_, size in asked)
    found = bytes_of(asked)
    assert all(one in found for one in wanted)


def test_a_layer_that_computes_has_announced_the_next(
    tiny_llama: Path, asked: list[tuple[Path, int, int]]
) -> None:
    model = model_of(tiny_llama)
    for index, _layer in model.stream_layers():
        if index == 1:
            break
    wait_for_threads()
    [wanted] = model.checkpoint.read_parts(2, ["value_vectors"]).values()
    assert wanted.numpy().tobytes() in bytes_of(asked)
