"""The memory plan: what it says is what torch allocates, and a budget changes no result."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, Gemma2Config, GPTNeoXConfig, LlamaConfig

from allocations import measured_peak
from dissect.checkpoints.reader import Checkpoint
from dissect.engine import sweep as sweep_module
from dissect.engine.donors import Patching, controls_of
from dissect.engine.packs import packs_of
from dissect.engine.patches import EXPERIMENTS, Donor
from dissect.engine.plan import GIB, SHARE, Plan, budget_of, plan_record, plan_sweep
from dissect.engine.record import record
from dissect.engine.recording import Recording, read_recording, write_recording
from dissect.engine.skeleton import Layer, Skeleton
from dissect.engine.stages import stages_of
from dissect.engine.sweep import POSITIONS_PER_CALL, TOKENS_PER_CALL, sweep, sweep_all
from dissect.errors import DissectError
from dissect.study.windows import Window, windows_of
from dissect.texts.spans import Text

CPU = torch.device("cpu")
LAYERS = 8
# Large enough that kernels' small buffers do not count, small enough for a second.
SIZES: dict[str, Any] = {
    "vocab_size": 4000,
    "hidden_size": 256,
    "intermediate_size": 704,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
}
NEOX = {key: value for key, value in SIZES.items() if key != "num_key_value_heads"}
CONFIGS = {
    "llama": LlamaConfig(**SIZES),
    "tied": LlamaConfig(**SIZES, tie_word_embeddings=True),
    "gemma2": Gemma2Config(**SIZES, head_dim=64),
    "gpt_neox": GPTNeoXConfig(**NEOX),
}
FEW = windows_of(["sliding_5"], LAYERS)
MANY = windows_of(["suffix", "sliding_1", "sliding_3"], LAYERS)
FORMATS = [torch.float32, torch.bfloat16]


def texts_of(count: int = 10) -> list[Text]:
    """Two packs of random tokens."""
    generator = torch.Generator().manual_seed(1)
    return [
        Text(
            tuple(torch.randint(0, 4000, (50,), generator=generator).tolist()),
            range(30, 50),
            range(29, 49),
        )
        for _ in range(count)
    ]


def save_pair(folder: Path, config: Any, saved: torch.dtype) -> tuple[Path, Path]:
    torch.manual_seed(0)
    model: Any = AutoModelForCausalLM.from_config(config, dtype=saved)
    model.save_pretrained(folder / "original")
    with torch.no_grad():
        for parameter in model.base_model.layers.parameters():
            parameter += 0.01 * torch.randn_like(parameter)
    model.save_pretrained(folder / "unlearned")
    return folder / "original", folder / "unlearned"


def record_to(folder: Path, original: Path, dtype: torch.dtype) -> Recording:
    texts = texts_of()
    tensors = record(Skeleton(Checkpoint(original), dtype, CPU), texts)
    write_recording(folder / "recording.safetensors", tensors, texts, {})
    return read_recording(folder / "recording.safetensors")


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return save_pair(tmp_path_factory.mktemp("pair"), CONFIGS["llama"], torch.float32)


@pytest.mark.parametrize("tokens", [4096, 512])
@pytest.mark.parametrize("windows", [FEW, MANY], ids=["few windows", "many windows"])
@pytest.mark.parametrize("experiment", ["mlp_coefficients_and_attention", "value_vectors"])
@pytest.mark.parametrize("dtype", FORMATS, ids=str)
@pytest.mark.parametrize("family", CONFIGS)
def test_a_sweep_allocates_what_its_plan_says(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    family: str,
    dtype: torch.dtype,
    experiment: str,
    windows: list[Window],
    tokens: int,
) -> None:
    # Saved in another format than computed in: weights of the same one are mapped, not allocated.
    saved = torch.bfloat16 if dtype == torch.float32 else torch.float32
    original, unlearned = save_pair(tmp_path, CONFIGS[family], saved)
    donor = Donor(
        EXPERIMENTS[experiment], record_to(tmp_path, original, dtype), Checkpoint(original)
    )
    skeleton = Skeleton(Checkpoint(unlearned), dtype, CPU)
    monkeypatch.setattr(sweep_module, "TOKENS_PER_CALL", tokens)
    monkeypatch.setattr(sweep_module, "POSITIONS_PER_CALL", tokens // 4)
    plan = plan_sweep(skeleton, donor, windows, tokens, tokens // 4, None)
    with measured_peak(tmp_path) as measured:
        sweep(skeleton, donor, windows)
    assert measured.peak == pytest.approx(plan.peak, rel=0.15)


@pytest.mark.parametrize("names", [["noise"], ["other_question"], ["other_question", "noise"]])
@pytest.mark.parametrize("experiment", EXPERIMENTS)
@pytest.mark.parametrize("dtype", FORMATS, ids=str)
def test_a_sweep_with_controls_allocates_what_its_plan_says(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    dtype: torch.dtype,
    experiment: str,
    names: list[str],
) -> None:
    saved = torch.bfloat16 if dtype == torch.float32 else torch.float32
    original, unlearned = save_pair(tmp_path, CONFIGS["llama"], saved)
    recording = record_to(tmp_path, original, dtype)
    donor = Donor(EXPERIMENTS[experiment], recording, Checkpoint(original))
    controls = controls_of(donor, names, range(LAYERS), MANY, 0)
    skeleton = Skeleton(Checkpoint(unlearned), dtype, CPU)
    monkeypatch.setattr(sweep_module, "TOKENS_PER_CALL", 1024)
    monkeypatch.setattr(sweep_module, "POSITIONS_PER_CALL", 256)
    plan = plan_sweep(skeleton, donor, MANY, 1024, 256, None, controls)
    with measured_peak(tmp_path) as measured:
        sweep_all(skeleton, [Patching(donor, MANY), *controls])
    assert measured.peak == pytest.approx(plan.peak, rel=0.15)


@pytest.mark.usefixtures("like_a_gpu")
def test_a_sweep_with_controls_keeps_to_its_budget(tmp_path: Path) -> None:
    original, unlearned = save_pair(tmp_path, CONFIGS["llama"], torch.bfloat16)
    recording = record_to(tmp_path, original, torch.float32)
    donor = Donor(EXPERIMENTS["attention"], recording, Checkpoint(original))
    controls = controls_of(donor, ["other_question", "noise"], range(LAYERS), MANY, 0)
    patchings = [Patching(donor, MANY), *controls]
    skeleton = Skeleton(Checkpoint(unlearned), torch.float32, CPU)
    least = plan_sweep(skeleton, donor, MANY, 1, 1, None, controls).peak
    free = plan_sweep(skeleton, donor, MANY, 4096, 1024, None, controls).peak
    budget = (least + free) // 2
    with measured_peak(tmp_path) as measured:
        sweep_all(skeleton, patchings, budget)
    assert measured.peak <= 1.05 * budget
    with pytest.raises(DissectError, match="the least that works is"):
        sweep_all(skeleton, patchings, least // 2)


@pytest.mark.parametrize("dtype", FORMATS, ids=str)
@pytest.mark.parametrize("family", CONFIGS)
def test_a_recording_allocates_what_its_plan_says(
    tmp_path: Path, family: str, dtype: torch.dtype
) -> None:
    saved = torch.bfloat16 if dtype == torch.float32 else torch.float32
    original, _ = save_pair(tmp_path, CONFIGS[family], saved)
    skeleton, texts = Skeleton(Checkpoint(original), dtype, CPU), texts_of()
    plan = plan_record(skeleton, packs_of([text.ids for text in texts]), texts, None)
    with measured_peak(tmp_path) as measured:
        record(skeleton, texts)
    assert measured.peak == pytest.approx(plan.peak, rel=0.15)


@pytest.fixture
def like_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """The budget decides on a call's size, as it does there."""
    monkeypatch.setattr("dissect.engine.plan.budget_decides", lambda device: True)


def planned(pair: tuple[Path, Path], recording: Recording, budget: int | None) -> Plan:
    donor = Donor(EXPERIMENTS["value_vectors"], recording, Checkpoint(pair[0]))
    skeleton = Skeleton(Checkpoint(pair[1]), torch.float32, CPU)
    return plan_sweep(skeleton, donor, MANY, 4096, 1024, budget)


@pytest.mark.usefixtures("like_a_gpu")
def test_a_smaller_budget_means_smaller_calls_that_fit_it(
    tmp_path: Path, pair: tuple[Path, Path]
) -> None:
    recording = record_to(tmp_path, pair[0], torch.float32)
    free = planned(pair, recording, None)
    assert (free.tokens_per_call, free.positions_per_call) == (4096, 1024)
    assert planned(pair, recording, free.peak) == free
    half = planned(pair, recording, int(0.6 * free.peak))
    assert half.peak <= 0.6 * free.peak
    assert half.tokens_per_call < free.tokens_per_call
    assert half.positions_per_call < free.positions_per_call


@pytest.mark.usefixtures("like_a_gpu")
def test_a_sweep_keeps_to_its_budget(tmp_path: Path) -> None:
    original, unlearned = save_pair(tmp_path, CONFIGS["llama"], torch.bfloat16)
    recording = record_to(tmp_path, original, torch.float32)
    donor = Donor(EXPERIMENTS["attention"], recording, Checkpoint(original))
    skeleton = Skeleton(Checkpoint(unlearned), torch.float32, CPU)
    budget = int(0.6 * plan_sweep(skeleton, donor, MANY, 4096, 1024, None).peak)
    with measured_peak(tmp_path) as measured:
        _, scores = sweep(skeleton, donor, MANY, budget)
    assert measured.peak <= 1.05 * budget
    for one, other in zip(scores, sweep(skeleton, donor, MANY)[1], strict=True):
        np.testing.assert_allclose(one.squared_error, other.squared_error, rtol=1e-4)


def test_too_small_a_budget_is_refused_with_the_least_that_works(
    tmp_path: Path, pair: tuple[Path, Path], request: pytest.FixtureRequest
) -> None:
    recording = record_to(tmp_path, pair[0], torch.float32)

    def least() -> float:
        with pytest.raises(DissectError, match=r"memory_gib: 0.00 GiB is too little") as refused:
            planned(pair, recording, 1000)
        said = float(str(refused.value).rpartition(" ")[2])
        assert planned(pair, recording, int(said * GIB)).peak <= said * GIB
        return said

    on_a_cpu = least()
    request.getfixturevalue("like_a_gpu")
    assert 0 < least() < on_a_cpu


def test_a_recording_that_does_not_fit_is_refused(pair: tuple[Path, Path]) -> None:
    with pytest.raises(DissectError, match=r"the least that works is 0\.0[1-9]$"):
        record(Skeleton(Checkpoint(pair[0]), torch.float32, CPU), texts_of(), 1000)


@pytest.mark.parametrize("experiment", EXPERIMENTS)
@pytest.mark.parametrize("dtype", FORMATS, ids=str)
def test_a_budget_changes_no_bit(
    tmp_path: Path, pair: tuple[Path, Path], dtype: torch.dtype, experiment: str
) -> None:
    recording = record_to(tmp_path, pair[0], dtype)
    donor = Donor(EXPERIMENTS[experiment], recording, Checkpoint(pair[0]))
    skeleton = Skeleton(Checkpoint(pair[1]), dtype, CPU)
    plan = plan_sweep(skeleton, donor, MANY, TOKENS_PER_CALL, POSITIONS_PER_CALL, None)
    free = sweep(skeleton, donor, MANY)
    for budget in (plan.peak, 2 * plan.peak, 100 * plan.peak):
        layers, scores = sweep(skeleton, donor, MANY, budget)
        assert layers == free[0]
        for one, other in zip(scores, free[1], strict=True):
            for name in ("squared_error", "kl", "agrees", "logprob"):
                assert not np.isnan(getattr(one, name)).any()
                np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_out_of_memory_halves_the_call_and_goes_on(
    tmp_path: Path, pair: tuple[Path, Path], caplog: pytest.LogCaptureFixture
) -> None:
    recording = record_to(tmp_path, pair[0], torch.float32)
    donor = Donor(EXPERIMENTS["attention"], recording, Checkpoint(pair[0]))
    whole = sweep(Skeleton(Checkpoint(pair[1]), torch.float32, CPU), donor, MANY)

    def small_device(_module: Any, inputs: Any) -> None:
        if len(inputs[0]) > 3:  # rows
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 MiB.\nMore.")

    skeleton = Skeleton(Checkpoint(pair[1]), torch.float32, CPU)
    for layer in skeleton.layers:
        layer.register_forward_pre_hook(small_device)
    with caplog.at_level(logging.WARNING, "dissect"):
        halved = sweep(skeleton, donor, MANY)
    said = [record.getMessage() for record in caplog.records]
    # The head's forward passes through the layers, too: there nothing more is said of them.
    assert said[0] == "out of memory with 4 runs of 250 tokens in a call; 2 from here on"
    assert all("105 tokens" in line for line in said[1:])
    assert halved[0] == whole[0]
    for one, other in zip(halved[1], whole[1], strict=True):
        np.testing.assert_allclose(one.squared_error, other.squared_error, rtol=1e-4)


def test_out_of_memory_with_a_single_run_ends_in_one_line(
    tmp_path: Path, pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    recording = record_to(tmp_path, pair[0], torch.float32)
    donor = Donor(EXPERIMENTS["attention"], recording, Checkpoint(pair[0]))
    call = Layer.__call__

    def full_device(self: Layer, hidden: torch.Tensor, arguments: Any) -> torch.Tensor:
        if not hidden.is_meta:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 MiB.\nMore.")
        return call(self, hidden, arguments)

    monkeypatch.setattr(Layer, "__call__", full_device)
    with pytest.raises(DissectError, match=r"does not hold one run of 250 tokens.*2.00 MiB.\)$"):
        sweep(Skeleton(Checkpoint(pair[1]), torch.float32, CPU), donor, FEW)


def test_the_default_budget_is_what_is_free_less_a_margin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dissect.engine.plan.free_memory", lambda device: 10 * GIB)
    assert budget_of(None, CPU) == int(SHARE * 10 * GIB)
    assert budget_of(0.5, CPU) == GIB // 2


def test_stages_are_those_of_the_walk(
    tmp_path: Path, pair: tuple[Path, Path], caplog: pytest.LogCaptureFixture
) -> None:
    recording = record_to(tmp_path, pair[0], torch.float32)
    donor = Donor(EXPERIMENTS["attention"], recording, Checkpoint(pair[0]))
    with caplog.at_level(logging.INFO, "dissect"):
        sweep(Skeleton(Checkpoint(pair[1]), torch.float32, CPU), donor, MANY)
    said = [
        record.getMessage() for record in caplog.records if "behind theirs" in record.getMessage()
    ]
    above = stages_of(MANY, LAYERS)[1:]
    assert said[:-1] == [
        f"layer {number} of {LAYERS}: {stage.inside} runs in a window, "
        f"{stage.outside - 1} behind theirs"
        for number, stage in enumerate(above, start=1)
    ]
