"""The count of floating point operations against torch's own, which watches what is done."""

from pathlib import Path
from typing import Any

import pytest
import torch
from test_families import CONFIGS
from test_sweep import WINDOWS, recording_of, texts_of
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from dissect.checkpoints.reader import Checkpoint
from dissect.engine import sweep as sweep_module
from dissect.engine.donors import Patching, controls_of
from dissect.engine.flops import Flops, count_record, count_sweep
from dissect.engine.patches import EXPERIMENTS, Donor
from dissect.engine.plan import Plan
from dissect.engine.record import record
from dissect.engine.skeleton import Skeleton
from dissect.engine.sweep import sweep, sweep_all
from tiny import save_tiny, tiny_config

CPU = torch.device("cpu")
CASES = {"llama": tiny_config(), **CONFIGS}


def skeleton_of(folder: Path) -> Skeleton:
    return Skeleton(Checkpoint(folder), torch.float32, CPU)


def flops_of(compute: Any) -> int:
    # torch's counter does not know the CPU's fused attention; it sees each product of this one.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        compute()
    return int(counter.get_total_flops())


@pytest.mark.parametrize("experiment", EXPERIMENTS)
@pytest.mark.parametrize("case", CASES)
def test_a_sweep_does_the_operations_that_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str, experiment: str
) -> None:
    folder = save_tiny(tmp_path / "model", CASES[case])
    recording = recording_of(folder, texts_of(folder), tmp_path / "recording.safetensors")
    donor, skeleton = Donor(EXPERIMENTS[experiment], recording, Checkpoint(folder)), None
    skeleton = skeleton_of(folder)
    # The plan walks through a layer too, on the meta device.
    monkeypatch.setattr(sweep_module, "plan_sweep", lambda *_arguments: Plan({}, 4096, 1024))
    counted = count_sweep(skeleton, donor, WINDOWS)
    assert counted.done == flops_of(lambda: sweep(skeleton, donor, WINDOWS))
    assert 0 < counted.least <= counted.done


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_a_sweep_with_controls_does_the_operations_that_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_llama: Path, experiment: str
) -> None:
    recording = recording_of(tiny_llama, texts_of(tiny_llama), tmp_path / "recording.safetensors")
    donor = Donor(EXPERIMENTS[experiment], recording, Checkpoint(tiny_llama))
    controls = controls_of(donor, ["other_question", "noise"], [1, 5], WINDOWS, 0)
    skeleton, few = skeleton_of(tiny_llama), [Patching(donor, WINDOWS), *controls]
    monkeypatch.setattr(sweep_module, "plan_sweep", lambda *_arguments: Plan({}, 4096, 1024))
    counted = count_sweep(skeleton, donor, WINDOWS, controls)
    assert counted.done == flops_of(lambda: sweep_all(skeleton, few))
    alone = count_sweep(skeleton, donor, WINDOWS)
    assert alone.done < counted.done < 2 * alone.done
    assert alone.least < counted.least <= counted.done


@pytest.mark.parametrize("case", CASES)
def test_a_recording_does_the_operations_that_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    folder = save_tiny(tmp_path, CASES[case])
    texts, skeleton = texts_of(folder), skeleton_of(folder)
    monkeypatch.setattr("dissect.engine.record.plan_record", lambda *_arguments: None)
    counted = count_record(skeleton, texts)
    assert counted.done == flops_of(lambda: record(skeleton, texts))
    assert 0 < counted.least <= counted.done


def test_what_is_put_back_need_not_be_computed(tmp_path: Path, tiny_llama: Path) -> None:
    recording = recording_of(tiny_llama, texts_of(tiny_llama), tmp_path / "recording.safetensors")
    skeleton = skeleton_of(tiny_llama)
    counts: dict[str, Flops] = {
        name: count_sweep(skeleton, Donor(experiment, recording, Checkpoint(tiny_llama)), WINDOWS)
        for name, experiment in EXPERIMENTS.items()
    }
    for flops in counts.values():
        assert counts["mlp_coefficients_and_attention"].least <= flops.least
        assert flops.least <= counts["value_vectors"].least
