"""The sweep on a GPU: `make test-gpu`, where one is. The unit tier has everything else."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, Gemma2Config, GPTNeoXConfig, LlamaConfig

from dissect.checkpoints.reader import Checkpoint
from dissect.engine.patches import EXPERIMENTS, Donor
from dissect.engine.plan import budget_of, plan_sweep
from dissect.engine.record import record
from dissect.engine.recording import Recording, read_recording, write_recording
from dissect.engine.scores import Scores
from dissect.engine.skeleton import Skeleton
from dissect.engine.sweep import POSITIONS_PER_CALL, TOKENS_PER_CALL, sweep
from dissect.study.windows import windows_of
from dissect.texts.spans import Text

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
        tensors = record(Skeleton(Checkpoint(self.original), dtype, device), texts)
        write_recording(path, tensors, texts, {})
        return read_recording(path)

    def sweep(
        self,
        name: str,
        recording: Recording,
        dtype: torch.dtype,
        device: torch.device,
        budget: int | None = None,
    ) -> list[Scores]:
        donor = Donor(EXPERIMENTS[name], recording, Checkpoint(self.original))
        return sweep(Skeleton(Checkpoint(self.unlearned), dtype, device), donor, WINDOWS, budget)[1]


@pytest.fixture(scope="module", params=CONFIGS)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return Pair(tmp_path_factory.mktemp(request.param), CONFIGS[request.param])


def losses(scores: list[Scores]) -> np.ndarray:
    return np.array([score.squared_error.mean(axis=1) for score in scores])


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_a_gpu_finds_what_a_cpu_finds(pair: Pair, name: str) -> None:
    there = losses(pair.sweep(name, pair.record(torch.float32, GPU), torch.float32, GPU))
    here = losses(pair.sweep(name, pair.record(torch.float32, CPU), torch.float32, CPU))
    assert not np.isnan(there).any()
    np.testing.assert_allclose(there, here, rtol=1e-3)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_the_same_job_gives_the_same_bits_again(pair: Pair, name: str) -> None:
    recording = pair.record(torch.bfloat16, GPU)
    one, other = (pair.sweep(name, recording, torch.bfloat16, GPU) for _ in range(2))
    for first, second in zip(one, other, strict=True):
        np.testing.assert_array_equal(first.squared_error, second.squared_error)
        np.testing.assert_array_equal(first.kl, second.kl)


def test_a_small_budget_finds_the_same_but_for_rounding(pair: Pair) -> None:
    recording = pair.record(torch.float32, GPU)
    donor = Donor(EXPERIMENTS["attention"], recording, Checkpoint(pair.original))
    skeleton = Skeleton(Checkpoint(pair.unlearned), torch.float32, GPU)
    least = plan_sweep(skeleton, donor, WINDOWS, 1, 1, None).peak
    free = losses(pair.sweep("attention", recording, torch.float32, GPU))
    small = losses(pair.sweep("attention", recording, torch.float32, GPU, least))
    np.testing.assert_allclose(small, free, rtol=1e-3)


@pytest.mark.parametrize("name", ["mlp_coefficients_and_attention", "value_vectors"])
def test_a_sweep_allocates_what_its_plan_says(pair: Pair, name: str) -> None:
    recording = pair.record(torch.bfloat16, GPU)
    donor = Donor(EXPERIMENTS[name], recording, Checkpoint(pair.original))
    skeleton = Skeleton(Checkpoint(pair.unlearned), torch.bfloat16, GPU)
    plan = plan_sweep(skeleton, donor, WINDOWS, TOKENS_PER_CALL, POSITIONS_PER_CALL, None)
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    sweep(skeleton, donor, WINDOWS)
    assert torch.cuda.max_memory_allocated() - before == pytest.approx(plan.peak, rel=0.15)


def test_out_of_memory_halves_the_call_and_goes_on(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    recording = pair.record(torch.float32, GPU)
    free = losses(pair.sweep("value_vectors", recording, torch.float32, GPU))
    # More in one call than the card has, whatever it has: the layer asks for it.
    total = torch.cuda.get_device_properties(GPU).total_memory

    def greedy(_module: Any, inputs: Any) -> None:
        if len(inputs[0]) > 2 and inputs[0].is_cuda:
            torch.empty(2 * total, dtype=torch.uint8, device=GPU)

    skeleton = Skeleton(Checkpoint(pair.unlearned), torch.float32, GPU)
    for layer in skeleton.layers:
        layer.register_forward_pre_hook(greedy)
    donor = Donor(EXPERIMENTS["value_vectors"], recording, Checkpoint(pair.original))
    with caplog.at_level(logging.WARNING, "dissect"):
        halved = losses(sweep(skeleton, donor, WINDOWS)[1])
    assert any("out of memory" in message.getMessage() for message in caplog.records)
    np.testing.assert_allclose(halved, free, rtol=1e-3)


def test_the_default_budget_is_the_cards() -> None:
    free, total = torch.cuda.mem_get_info()
    assert 0 < budget_of(None, GPU) < total
    assert budget_of(None, GPU) == pytest.approx(0.9 * free, rel=0.1)
