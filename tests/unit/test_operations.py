"""The count of floating point operations against torch's own, which watches what is done."""

from pathlib import Path
from typing import Any

import pytest
from test_families import CONFIGS
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from dissect.checkpoints.reader import Checkpoint
from dissect.engine.donors import controls_of
from dissect.engine.operations import count_record, count_sweep
from dissect.engine.patches import EXPERIMENTS, Donor, DonorWindows
from dissect.engine.record import record
from dissect.engine.sweep import sweep
from dissect.terms import DENOISING
from tiny import save_tiny, tiny_config
from tiny_sweeps import WINDOWS, model_of, recording_of, texts_of

CASES = {"llama": tiny_config(), **CONFIGS}


def operations_of(compute: Any) -> int:
    # torch's counter does not know the CPU's fused attention; it sees each product of this one.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        compute()
    return int(counter.get_total_flops())


@pytest.mark.parametrize("experiment", DENOISING)
@pytest.mark.parametrize("case", CASES)
def test_a_sweep_does_the_operations_that_are_counted(
    tmp_path: Path, case: str, experiment: str
) -> None:
    folder = save_tiny(tmp_path / "model", CASES[case])
    recording = recording_of(folder, texts_of(folder), tmp_path / "recording.safetensors")
    donor = Donor(EXPERIMENTS[experiment], recording, Checkpoint(folder))
    sweep_arguments = (model_of(folder), [DonorWindows(donor, WINDOWS)], recording)
    counted = count_sweep(*sweep_arguments)
    assert counted.done == operations_of(lambda: sweep(*sweep_arguments))
    assert 0 < counted.least <= counted.done


@pytest.mark.parametrize(
    "names", [["other_question", "noise"], ["aligned_question", "mean_of_questions", "noise"]]
)
@pytest.mark.parametrize("experiment", DENOISING)
def test_a_sweep_with_controls_does_the_operations_that_are_counted(
    tmp_path: Path, tiny_llama: Path, experiment: str, names: list[str]
) -> None:
    recording = recording_of(tiny_llama, texts_of(tiny_llama), tmp_path / "recording.safetensors")
    donor = Donor(EXPERIMENTS[experiment], recording, Checkpoint(tiny_llama))
    controls = controls_of(donor, names, [1, 5], WINDOWS, 0)
    host, original = model_of(tiny_llama), DonorWindows(donor, WINDOWS)
    counted = count_sweep(host, [original, *controls], recording)
    assert counted.done == operations_of(lambda: sweep(host, [original, *controls], recording))
    alone = count_sweep(host, [original], recording)
    assert alone.done < counted.done < (2 + len(controls)) * alone.done
    assert alone.least < counted.least <= counted.done


@pytest.mark.parametrize("case", CASES)
def test_a_recording_does_the_operations_that_are_counted(tmp_path: Path, case: str) -> None:
    folder = save_tiny(tmp_path, CASES[case])
    texts, model = texts_of(folder), model_of(folder)
    counted = count_record(model, texts)
    assert counted.done == operations_of(lambda: record(model, texts))
    assert 0 < counted.least <= counted.done


def test_what_is_patched_need_not_be_computed(tmp_path: Path, tiny_llama: Path) -> None:
    recording = recording_of(tiny_llama, texts_of(tiny_llama), tmp_path / "recording.safetensors")
    host, original = model_of(tiny_llama), Checkpoint(tiny_llama)
    least = {
        name: count_sweep(
            host, [DonorWindows(Donor(experiment, recording, original), WINDOWS)], recording
        ).least
        for name, experiment in EXPERIMENTS.items()
        if name in DENOISING
    }
    assert least["mlp_coefficients_and_attention"] == min(least.values())
    assert least["value_vectors"] < least["gate_and_up_weights"] < least["attention_weights"]
    # Where the attention's weights are restored, nothing of a layer is known from another run.
    assert least["attention_weights"] == least["all_weights"] == max(least.values())
