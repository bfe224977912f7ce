"""The sweep on a GPU: `make test-gpu`, where one is. The unit tier has everything else."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, Gemma2Config, GPTNeoXConfig, LlamaConfig

from stillknows.engine import sweep as sweep_module
from stillknows.engine.patches import EXPERIMENTS, Donor
from stillknows.engine.recording import Recording, Scores, read_recording, record, write_recording
from stillknows.engine.streamed_model import StreamedModel
from stillknows.engine.windows import windows_of
from stillknows.models.reader import Checkpoint
from stillknows.terms import DENOISING
from stillknows.texts.spans import Text
from tiny_sweeps import loss_of, runs_of, sweep_of

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")

CPU, GPU = torch.device("cpu"), torch.device("cuda")
LAYERS = 8
SIZES: dict[str, Any] = {
    "vocab_size": 8000,
    "hidden_size": 512,
    "intermediate_size": 1408,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "max_position_embeddings": 512,
}
NEOX = {key: value for key, value in SIZES.items() if key != "num_key_value_heads"}
CONFIGS = {
    "llama": LlamaConfig(**SIZES),
    "gemma2": Gemma2Config(**SIZES, head_dim=64),
    "gpt_neox": GPTNeoXConfig(**NEOX),
}
WINDOWS = windows_of(["sliding_5", "suffix"], LAYERS)


def texts_of(count: int = 10) -> list[Text]:
    generator = torch.Generator().manual_seed(1)
    return [
        Text(
            tuple(torch.randint(0, 8000, (50,), generator=generator).tolist()),
            range(30, 50),
            range(29, 49),
        )
        for _ in range(count)
    ]


class Pair:
    """An original and a copy with noise on its layers, on disk."""

    def __init__(self, folder: Path, config: Any) -> None:
        torch.manual_seed(0)
        model: Any = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
        self.folder, self.original, self.unlearned = folder, folder / "original", folder / "other"
        model.save_pretrained(self.original)
        with torch.no_grad():
            for parameter in model.base_model.layers.parameters():
                parameter += 0.01 * torch.randn_like(parameter)
        model.save_pretrained(self.unlearned)

    def record(self, dtype: torch.dtype, device: torch.device) -> Recording:
        path, texts = self.folder / "recording.safetensors", texts_of()
        tensors = record(StreamedModel(Checkpoint(self.original), dtype, device), texts)
        write_recording(path, tensors, texts, {})
        return read_recording(path)

    def donor(self, name: str, recording: Recording) -> Donor:
        return Donor(EXPERIMENTS[name], recording, Checkpoint(self.original))

    def host(self, dtype: torch.dtype, device: torch.device) -> StreamedModel:
        return StreamedModel(Checkpoint(self.unlearned), dtype, device)

    def sweep(
        self, name: str, recording: Recording, dtype: torch.dtype, device: torch.device
    ) -> list[list[Scores]]:
        """Per run, and for the unpatched run first, the scores of each text."""
        swept = sweep_of(self.host(dtype, device), self.donor(name, recording), WINDOWS)
        return list(runs_of(swept).values())


@pytest.fixture(scope="module", params=CONFIGS)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return Pair(tmp_path_factory.mktemp(request.param), CONFIGS[request.param])


def losses(runs: list[list[Scores]]) -> np.ndarray:
    return np.array([loss_of(scores) for scores in runs])


@pytest.mark.parametrize("name", DENOISING)
def test_a_gpu_and_a_cpu_give_the_same_losses(pair: Pair, name: str) -> None:
    on_gpu = losses(pair.sweep(name, pair.record(torch.float32, GPU), torch.float32, GPU))
    on_cpu = losses(pair.sweep(name, pair.record(torch.float32, CPU), torch.float32, CPU))
    assert not np.isnan(on_gpu).any()
    np.testing.assert_allclose(on_gpu, on_cpu, rtol=1e-3)


@pytest.mark.parametrize("name", DENOISING)
def test_the_same_job_gives_the_same_bits_again(pair: Pair, name: str) -> None:
    recording = pair.record(torch.bfloat16, GPU)
    one, other = (pair.sweep(name, recording, torch.bfloat16, GPU) for _ in range(2))
    for first_run, second_run in zip(one, other, strict=True):
        for first, second in zip(first_run, second_run, strict=True):
            np.testing.assert_array_equal(first.squared_error, second.squared_error)
            np.testing.assert_array_equal(first.kl, second.kl)


def test_smaller_calls_take_less_memory_and_change_rounding_only(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    recording = pair.record(torch.float32, GPU)
    pair.sweep("attention", recording, torch.float32, GPU)  # what the libraries allocate once

    def measured() -> tuple[int, np.ndarray]:
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        result = losses(pair.sweep("attention", recording, torch.float32, GPU))
        return torch.cuda.max_memory_allocated() - before, result

    large, expected = measured()
    monkeypatch.setattr(sweep_module, "TOKENS_PER_CALL", 1)
    monkeypatch.setattr(sweep_module, "POSITIONS_PER_CALL", 1)
    small, result = measured()
    assert small < large
    np.testing.assert_allclose(result, expected, rtol=1e-3)


def test_out_of_memory_halves_the_call_and_goes_on(
    pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    recording = pair.record(torch.float32, GPU)
    whole = losses(pair.sweep("value_vectors", recording, torch.float32, GPU))
    # The layer asks for more than the card has, whatever it has.
    total = torch.cuda.get_device_properties(GPU).total_memory

    def greedy(_module: Any, inputs: Any) -> None:
        if len(inputs[0]) > 2:
            torch.empty(2 * total, dtype=torch.uint8, device=GPU)

    host = pair.host(torch.float32, GPU)
    for layer in host.layers:
        layer.register_forward_pre_hook(greedy)
    with caplog.at_level(logging.WARNING, "stillknows"):
        swept = sweep_of(host, pair.donor("value_vectors", recording), WINDOWS)
    assert "out of memory" in caplog.text
    np.testing.assert_allclose(losses(list(runs_of(swept).values())), whole, rtol=1e-3)
