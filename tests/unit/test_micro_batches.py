"""What bounds the memory of a sweep: calls of so many tokens, halved where they do not fit."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from allocations import measured_peak
from stillknows.engine import sweep as sweep_module
from stillknows.engine.patches import EXPERIMENTS, Donor
from stillknows.engine.runs import MicroBatches
from stillknows.engine.windows import Window
from stillknows.models.reader import Checkpoint
from tiny_sweeps import WINDOWS, model_of, recording_of, runs_of, sweep_of, texts_of

TOKENS = 5


class Device:
    """Adds one to rows, as long as a call has no more of them than fit."""

    def __init__(self, fit: int) -> None:
        self.fit = fit
        self.calls: list[int] = []

    def __call__(self, rows: Tensor) -> Tensor:
        self.calls.append(len(rows))
        if len(rows) > self.fit:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 MiB.\nMore.")
        return rows + 1


def batch_of(rows: int) -> Tensor:
    return torch.arange(rows * TOKENS * 2.0).view(rows, TOKENS, 2)


@pytest.mark.parametrize(
    ("tokens", "calls"), [(1, [1] * 7), (TOKENS, [1] * 7), (3 * TOKENS + 1, [3, 3, 1]), (99, [7])]
)
def test_rows_go_in_calls_of_at_most_so_many_tokens(tokens: int, calls: list[int]) -> None:
    device, batch = Device(fit=100), batch_of(7)
    results = torch.cat([*MicroBatches(tokens)(device, batch.split(1))])
    assert torch.equal(results, batch + 1)
    assert device.calls == calls


def test_a_call_that_does_not_fit_is_halved_and_so_are_all_later_ones(
    caplog: pytest.LogCaptureFixture,
) -> None:
    device, batch, micro_batches = Device(fit=3), batch_of(8), MicroBatches(8 * TOKENS)
    with caplog.at_level(logging.WARNING, "stillknows"):
        for _ in range(2):
            results = torch.cat([*micro_batches(device, batch.split(1))])
            assert torch.equal(results, batch + 1)
    assert device.calls == [8, 4, *[2] * 8]
    assert [record.getMessage() for record in caplog.records] == [
        "out of memory with 8 runs of 5 tokens in a call; 4 per call from now on",
        "out of memory with 4 runs of 5 tokens in a call; 2 per call from now on",
    ]


def test_a_sweep_on_a_small_device_finds_the_same(
    tmp_path: Path, tiny_llama: Path, tiny_unlearned: Path, caplog: pytest.LogCaptureFixture
) -> None:
    recording = recording_of(tiny_llama, texts_of(tiny_llama), tmp_path / "recording.safetensors")
    donor = Donor(EXPERIMENTS["attention"], recording, Checkpoint(tiny_llama))
    whole = runs_of(sweep_of(model_of(tiny_unlearned), donor, WINDOWS))

    def small_device(_module: Any, inputs: Any) -> None:
        if len(inputs[0]) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory.")

    host = model_of(tiny_unlearned)
    for module in [*host.layers, host.model.get_output_embeddings()]:
        module.register_forward_pre_hook(small_device)
    with caplog.at_level(logging.WARNING, "stillknows"):
        halved = runs_of(sweep_of(host, donor, WINDOWS))
    assert "out of memory" in caplog.text
    for run, scores in whole.items():
        for one, other in zip(scores, halved[run], strict=True):
            np.testing.assert_allclose(one.squared_error, other.squared_error, rtol=1e-4)


def peak_of(folder: Path, model: Path, windows: list[Window]) -> int:
    """The most bytes that a sweep of a model in bfloat16 allocates."""
    # Weights in the format of their file, float32, would be mapped into memory, not allocated.
    path, dtype = folder / "recording.safetensors", torch.bfloat16
    recording = recording_of(model, texts_of(model), path, dtype)
    donor = Donor(EXPERIMENTS["mlp_coefficients"], recording, Checkpoint(model))
    host = model_of(model, dtype)
    with measured_peak(folder) as measured:
        sweep_of(host, donor, windows)
    return measured.peak


def test_fewer_tokens_per_call_take_less_memory(
    tmp_path: Path, tiny_llama: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = peak_of(tmp_path, tiny_llama, WINDOWS)
    monkeypatch.setattr(sweep_module, "TOKENS_PER_CALL", 1)
    monkeypatch.setattr(sweep_module, "POSITIONS_PER_CALL", 1)
    assert peak_of(tmp_path, tiny_llama, WINDOWS) < 0.5 * large
