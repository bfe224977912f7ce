"""Where models compute, told by what is there."""

import psutil
import pytest
import torch

from stillknows.device import choose_device, choose_dtype, free_memory
from stillknows.errors import StudyError


def with_gpus(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


def test_auto_takes_a_gpu_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    with_gpus(1, monkeypatch)
    assert choose_device("auto").type == "cuda"
    with_gpus(0, monkeypatch)
    assert choose_device("auto").type == "cpu"


def test_what_is_asked_for_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    with_gpus(2, monkeypatch)
    for wanted in ("cpu", "cuda", "cuda:1"):
        assert str(choose_device(wanted)) == wanted


@pytest.mark.parametrize("wanted", ["cuda", "cuda:1", "mps"])
def test_what_is_not_there_is_refused_in_one_line(
    wanted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_gpus(1 if wanted == "cuda:1" else 0, monkeypatch)
    said = f"^device: {wanted} is not available .*; use auto or cpu$"
    with pytest.raises(StudyError, match=said):
        choose_device(wanted)


def test_the_checkpoints_dtype_or_the_one_asked_for() -> None:
    assert choose_dtype("checkpoint", "bfloat16") is torch.bfloat16
    assert choose_dtype("float32", "bfloat16") is torch.float32


def test_free_memory_is_the_devices_own(monkeypatch: pytest.MonkeyPatch) -> None:
    assert 0 < free_memory(torch.device("cpu")) <= psutil.virtual_memory().total
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _device: (5, 8))
    assert free_memory(torch.device("cuda")) == 5
