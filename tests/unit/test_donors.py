"""Controls against plain hooks with the same states, and what they leave alone."""

import copy
import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_sweep import CPU, WINDOWS, recording_of, texts_of
from transformers import AutoModelForCausalLM, MistralConfig

from dissect.checkpoints.reader import Checkpoint
from dissect.engine.donors import Itself, Noise, OtherQuestion, Patching, controls_of, noise_like
from dissect.engine.patches import EXPERIMENTS, Donor, Spot
from dissect.engine.record import record
from dissect.engine.recording import Recording, write_recording
from dissect.engine.scores import Scores
from dissect.engine.skeleton import Skeleton
from dissect.engine.sweep import sweep, sweep_all
from dissect.errors import DissectError
from dissect.texts.spans import Text
from plain_hooks import States, parts_of, patched_logits, states_of
from tiny import LAYERS, save_tiny, tiny_config

SOME = [window for window in WINDOWS if window.layer in (0, 2, 5)]
SEED = 3
FIELDS = ("squared_error", "kl", "agrees", "logprob")
SLIDING = MistralConfig(**tiny_config().to_dict() | {"sliding_window": 8, "model_type": "mistral"})
PACKS = pytest.mark.parametrize("pack_tokens", [10_000, 100], ids=["one pack", "several packs"])


@pytest.fixture
def recording(
    tmp_path: Path, tiny_llama: Path, pack_tokens: int, monkeypatch: pytest.MonkeyPatch
) -> Recording:
    """Four questions that begin alike, in one pack or in several."""
    monkeypatch.setattr("dissect.engine.packs.PACK_TOKENS", pack_tokens)
    found = recording_of(tiny_llama, texts_of(tiny_llama), tmp_path / "recording.safetensors")
    assert (len(found.packs) > 1) == (pack_tokens == 100)
    return found


def donors_of(name: str, original: Path, recording: Recording) -> tuple[Donor, list[Patching]]:
    donor = Donor(EXPERIMENTS[name], recording, Checkpoint(original))
    names = [OtherQuestion.name, Noise.name]
    return donor, controls_of(donor, names, [0, 2, 5], WINDOWS, SEED)


def skeleton_of(folder: Path, dtype: torch.dtype = torch.float32) -> Skeleton:
    return Skeleton(Checkpoint(folder), dtype, CPU)


def losses_of(
    source: Any, patched: Any, put_back: States, text: Text, reference: torch.Tensor, *what: Any
) -> np.ndarray:
    """Mean squared logit difference per compared position, by plain hooks and one text alone.

    Args:
        source: the model whose value vectors are put back.
        reference: the original's logits for the text.
        what: experiment and layers.
    """
    ids = torch.tensor([text.ids])
    logits = patched_logits(source, patched, replace(put_back, ids=ids), *what)
    difference = (logits - reference)[0, text.compared.start : text.compared.stop]
    return np.asarray(difference.square().mean(-1).double())


def of_the_next(states: Sequence[States], number: int, length: int) -> States:
    """The next question's states, cut or repeated."""
    other = states[(number + 1) % len(states)]
    places = [position % other.ids.shape[1] for position in range(length)]
    coefficients = [state[:, places] for state in other.coefficients]
    return States(other.ids, other.logits, coefficients, [s[:, places] for s in other.attention])


def of_noise(donor: Noise, recording: Recording, number: int) -> States:
    """The noise that the engine puts into one text."""
    pack = next(i for i, one in enumerate(recording.packs) if number in one.members)
    path = recording.packs[pack].places(number, range(len(recording.texts[number].ids)))

    def drawn(component: str) -> list[torch.Tensor]:
        spots = [Spot(layer, pack, CPU, slice(None), {}) for layer in range(LAYERS)]
        return [donor.state(component, spot)[:, path] for spot in spots]

    return States(torch.empty(0), torch.empty(0), drawn("coefficients"), drawn("attention"))


def with_noise_for_value_vectors(original: Any, donor: Noise) -> Any:
    noisy = copy.deepcopy(original)
    for layer, (_, down) in enumerate(parts_of(noisy)):
        down.weight.data = donor.value_vectors(layer, torch.float32, CPU)
    return noisy


@PACKS
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_controls_equal_plain_hooks(
    tiny_llama: Path, tiny_unlearned: Path, recording: Recording, name: str
) -> None:
    donor, controls = donors_of(name, tiny_llama, recording)
    swept = sweep_all(skeleton_of(tiny_unlearned), [Patching(donor, WINDOWS), *controls])
    assert_equal_to_hooks(tiny_llama, tiny_unlearned, recording, name, controls, swept[1:])


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_controls_equal_plain_hooks_where_layers_look_back_a_little(
    tmp_path: Path, name: str
) -> None:
    original = save_tiny(tmp_path / "original", SLIDING)
    unlearned = save_tiny(tmp_path / "unlearned", near=original, seed=1)
    recording = recording_of(original, texts_of(original), tmp_path / "recording.safetensors")
    donor, controls = donors_of(name, original, recording)
    swept = sweep_all(skeleton_of(unlearned), [Patching(donor, WINDOWS), *controls])
    assert_equal_to_hooks(original, unlearned, recording, name, controls, swept[1:])


def assert_equal_to_hooks(
    original: Path,
    unlearned: Path,
    recording: Recording,
    name: str,
    controls: list[Patching],
    swept: list[tuple[list[tuple[int, int]], list[Scores]]],
) -> None:
    model, patched = (
        AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        for folder in (original, unlearned)
    )
    states = [states_of(model, torch.tensor([text.ids])) for text in recording.texts]
    named = {patching.donor.name for patching in controls}
    assert named == ({"noise"} if name == "value_vectors" else {"noise", "other_question"})
    for patching, (layers, scores) in zip(controls, swept, strict=True):
        donor = patching.donor
        assert set(layers) == {(window.first, window.last) for window in SOME}
        source = model
        if isinstance(donor, Noise) and name == "value_vectors":
            source = with_noise_for_value_vectors(model, donor)
        for number, (text, score) in enumerate(zip(recording.texts, scores, strict=True)):
            put_back = (
                of_noise(donor, recording, number)
                if isinstance(donor, Noise)
                else of_the_next(states, number, len(text.ids))
            )
            for row, pair in enumerate([None, *layers]):
                inside = range(pair[0], pair[1] + 1) if pair else range(0)
                reference = states[number].logits
                theirs = losses_of(source, patched, put_back, text, reference, name, inside)
                assert not np.isnan(theirs).any()
                np.testing.assert_allclose(score.squared_error[row], theirs, rtol=1e-5)


@PACKS
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_controls_change_no_bit_of_what_the_original_brings(
    tiny_llama: Path, tiny_unlearned: Path, recording: Recording, name: str, dtype: torch.dtype
) -> None:
    tensors = record(skeleton_of(tiny_llama, dtype), recording.texts)
    write_recording(recording.path, tensors, recording.texts, {})
    donor, controls = donors_of(name, tiny_llama, recording)
    alone = sweep(skeleton_of(tiny_unlearned, dtype), donor, WINDOWS)
    beside = sweep_all(skeleton_of(tiny_unlearned, dtype), [Patching(donor, WINDOWS), *controls])
    assert beside[0][0] == alone[0]
    for one, other in zip(beside[0][1], alone[1], strict=True):
        for field in FIELDS:
            assert not np.isnan(getattr(one, field)).any()
            np.testing.assert_array_equal(getattr(one, field), getattr(other, field))


@PACKS
def test_a_sweep_with_controls_reads_each_layer_once(
    tiny_llama: Path, tiny_unlearned: Path, recording: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[int] = []
    read_layer = Checkpoint.read_layer

    def counting(self: Checkpoint, layer: int, *arguments: Any) -> dict[str, torch.Tensor]:
        reads.append(layer)
        return read_layer(self, layer, *arguments)

    monkeypatch.setattr(Checkpoint, "read_layer", counting)
    donor, controls = donors_of("mlp_coefficients", tiny_llama, recording)
    sweep_all(skeleton_of(tiny_unlearned), [Patching(donor, WINDOWS), *controls])
    assert reads == list(range(LAYERS))


@PACKS
def test_another_question_gives_back_less_and_noise_nothing(
    tiny_llama: Path, tiny_unlearned: Path, recording: Recording
) -> None:
    donor, controls = donors_of("mlp_coefficients_and_attention", tiny_llama, recording)
    everything = [window for window in SOME if (window.first, window.last) == (0, LAYERS - 1)]
    patchings = [Patching(one.donor, everything) for one in [Patching(donor, []), *controls]]
    losses = [
        np.mean([score.squared_error.mean(axis=1) for score in scores], axis=0)
        for _, scores in sweep_all(skeleton_of(tiny_unlearned), patchings)
    ]
    original, other, noise = (float(loss[1]) for loss in losses)
    assert original < 0.5 * losses[0][0]
    assert other > 2 * original
    assert noise > losses[0][0]


def test_noise_has_the_norms_of_what_it_stands_for() -> None:
    states = (
        torch.randn(5, 64, generator=torch.Generator().manual_seed(0)) * torch.arange(5)[:, None]
    )
    for dtype, near in ((torch.float32, 1e-6), (torch.bfloat16, 1e-2)):
        noise = noise_like(states.to(dtype), -1, torch.Generator().manual_seed(1))
        assert noise.dtype == dtype
        torch.testing.assert_close(
            noise.float().norm(dim=-1), states.norm(dim=-1), rtol=near, atol=0
        )
    drawn = noise_like(torch.ones(1, 100_000), -1, torch.Generator().manual_seed(1))[0]
    assert abs(float(drawn.mean())) < 0.02
    assert abs(float(drawn.std()) - 1) < 0.02
    # Kurtosis: 3 for a Gaussian, 1.8 for an even spread.
    assert abs(float(drawn.pow(4).mean()) - 3) < 0.2


@PACKS
def test_noise_has_the_originals_norm_per_position_and_value_vector(
    tiny_llama: Path, recording: Recording
) -> None:
    donor = Noise(EXPERIMENTS["attention"], recording, Checkpoint(tiny_llama), SEED)
    for pack in range(len(recording.packs)):
        spot = Spot(4, pack, CPU, slice(None), {})
        for component in ("coefficients", "attention"):
            recorded = recording.state(4, component, pack, CPU)
            noise = donor.state(component, spot)
            assert noise.shape == recorded.shape
            torch.testing.assert_close(noise.norm(dim=-1), recorded.norm(dim=-1))
            assert (noise - recorded).norm() > recorded.norm()
    vectors = Checkpoint(tiny_llama).read_value_vectors(4, torch.float32, CPU)
    noise = donor.value_vectors(4, torch.float32, CPU)
    torch.testing.assert_close(noise.norm(dim=0), vectors.norm(dim=0))
    assert (noise - vectors).norm() > vectors.norm()


@PACKS
def test_noise_follows_from_seed_layer_component_and_texts(
    tmp_path: Path, tiny_llama: Path, recording: Recording
) -> None:
    def drawn(seed: int, layer: int, texts: Recording = recording) -> torch.Tensor:
        donor = Noise(EXPERIMENTS["attention"], texts, Checkpoint(tiny_llama), seed)
        return donor.state("attention", Spot(layer, 0, CPU, slice(None), {}))

    first = drawn(0, 1)
    assert torch.equal(drawn(0, 1), first)
    fewer = recording_of(tiny_llama, texts_of(tiny_llama)[:3], tmp_path / "fewer.safetensors")
    # Directions: the sizes are those of what it stands for.
    for other in (drawn(1, 1), drawn(0, 2), drawn(0, 1, fewer)):
        count = min(first.shape[1], other.shape[1])
        likeness = torch.cosine_similarity(first[:, :count], other[:, :count], dim=-1)
        assert likeness.abs().max() < 0.9


@pytest.mark.parametrize("pack_tokens", [10_000])
def test_the_next_question_is_cut_or_repeated(tiny_llama: Path, recording: Recording) -> None:
    donor = OtherQuestion(EXPERIMENTS["attention"], recording, Checkpoint(tiny_llama))
    texts, layout = recording.texts, donor.layouts[0]
    lengths = [len(text.ids) for text in texts]
    assert lengths == sorted(lengths) and lengths[0] < lengths[-1]
    put_back = donor.state("attention", Spot(2, 0, CPU, slice(None), {}))[0]
    states = recording.states(2, "attention")
    for number, length in enumerate(lengths):
        after = (number + 1) % len(texts)
        theirs = states[recording.rows_of(after)]
        theirs = torch.cat([theirs] * 9)[:length] if after == 0 else theirs[:length]
        assert torch.equal(put_back[list(layout.paths[number])], theirs)
    # The last question goes on where the first one, which is put into it, has ended.
    assert lengths[-1] > lengths[0]


@pytest.mark.parametrize("pack_tokens", [10_000])
def test_runs_share_a_token_only_where_the_next_questions_agree_too(
    tiny_llama: Path, recording: Recording
) -> None:
    donor = OtherQuestion(EXPERIMENTS["attention"], recording, Checkpoint(tiny_llama))
    pack, layout = recording.packs[0], donor.layouts[0]
    alone = sum(len(text.ids) for text in recording.texts)
    assert len(pack.ids) < len(layout.ids) < alone
    origins = donor.origins(0)
    assert [pack.ids[place] for place in origins] == list(layout.ids)
    assert [pack.positions[place] for place in origins] == layout.positions


@pytest.mark.parametrize("pack_tokens", [10_000])
def test_a_single_question_has_no_other(
    tmp_path: Path, tiny_llama: Path, caplog: pytest.LogCaptureFixture, pack_tokens: int
) -> None:
    texts = texts_of(tiny_llama)[:1]
    recording = recording_of(tiny_llama, texts, tmp_path / "recording.safetensors")
    with caplog.at_level(logging.INFO, "dissect"):
        _, controls = donors_of("attention", tiny_llama, recording)
    assert [patching.donor.name for patching in controls] == ["noise"]
    assert "other_question: left out, the concept has a single question" in caplog.text


@pytest.mark.parametrize("pack_tokens", [10_000])
def test_controls_are_in_the_windows_of_their_layers(
    tiny_llama: Path, recording: Recording
) -> None:
    donor = Donor(EXPERIMENTS["attention"], recording, Checkpoint(tiny_llama))
    assert controls_of(donor, [], [2], WINDOWS, SEED) == []
    assert controls_of(donor, ["noise"], [], WINDOWS, SEED) == []
    (noise,) = controls_of(donor, ["noise"], [2], WINDOWS, SEED)
    assert {window.layer for window in noise.windows} == {2}
    assert len(noise.windows) == 4  # one of each kind
    with pytest.raises(DissectError, match=r"6 is no layer of this model; legal: 0 to 5"):
        controls_of(donor, ["noise"], [2, 6], WINDOWS, SEED)


@PACKS
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_a_models_own_states_change_nothing(
    tiny_llama: Path, tiny_unlearned: Path, recording: Recording, name: str
) -> None:
    donor = Itself(EXPERIMENTS[name], recording, Checkpoint(tiny_unlearned))
    _, scores = sweep(skeleton_of(tiny_unlearned), donor, WINDOWS)
    for score in scores:
        assert (score.squared_error[0] > 0).all()
        for field in ("squared_error", "logprob"):
            rows = getattr(score, field)
            np.testing.assert_allclose(rows, np.broadcast_to(rows[0], rows.shape), rtol=1e-4)
