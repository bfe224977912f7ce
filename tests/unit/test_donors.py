"""Controls against plain hooks with the same states, and what they leave alone."""

import copy
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_families import CONFIGS
from transformers import AutoModelForCausalLM, MistralConfig

from plain_hooks import States, layers_of, patched_logits, states_of
from stillknows.engine.patches import EXPERIMENTS, Donor, Noise, SelfPatch, controls_of, noise_like
from stillknows.engine.recording import Recording, Scores
from stillknows.engine.sweep import Swept, sweep
from stillknows.engine.windows import LayerRange
from stillknows.errors import StudyError
from stillknows.models.reader import Checkpoint
from stillknows.terms import (
    ALIGNED_QUESTION,
    BOTH,
    CONTROLS,
    DENOISING,
    MEAN_OF_QUESTIONS,
    NOISE,
    OTHER_QUESTION,
    REFERENCE,
)
from stillknows.texts.spans import Text
from tiny import LAYERS, save_tiny, tiny_config
from tiny_sweeps import CPU, WINDOWS, model_of, recording_of, runs_of, sweep_of, texts_of

SOME = [window for window in WINDOWS if window.layer in (0, 2, 5)]
SEED = 3
FIELDS = ("squared_error", "kl", "agrees", "logprob")
SLIDING = MistralConfig(**tiny_config().to_dict() | {"sliding_window": 8, "model_type": "mistral"})
TREES = pytest.mark.parametrize("tree_tokens", [10_000, 100], ids=["one tree", "several trees"])
ONE_TREE = pytest.mark.parametrize("tree_tokens", [10_000])


@pytest.fixture
def recording(
    tmp_path: Path, tiny_llama: Path, tree_tokens: int, monkeypatch: pytest.MonkeyPatch
) -> Recording:
    """Four questions that begin alike, in one token tree or in several."""
    monkeypatch.setattr("stillknows.engine.token_tree.TREE_TOKENS", tree_tokens)
    recording = recording_of(tiny_llama, texts_of(tiny_llama), tmp_path / "recording.safetensors")
    assert (len(recording.trees) > 1) == (tree_tokens == 100)
    return recording


def donors_of(
    name: str,
    original: Path,
    recording: Recording,
    names: Sequence[str] = CONTROLS,
    reference: Donor | None = None,
) -> tuple[Donor, list[Donor]]:
    donor = Donor(EXPERIMENTS[name], recording, Checkpoint(original), WINDOWS)
    return donor, controls_of(donor, names, [0, 2, 5], SEED, reference)


def reference_of(name: str, folder: Path, texts: Sequence[Text], path: Path) -> Donor:
    return Donor(EXPERIMENTS[name], recording_of(folder, texts, path), Checkpoint(folder))


def sweep_with(host: Path, donor: Donor, controls: Sequence[Donor]) -> Swept:
    return sweep(model_of(host), [donor, *controls], donor.recording)


def losses_of(
    source: Any, host: Any, patch: States, text: Text, original: torch.Tensor, *what: Any
) -> np.ndarray:
    """Mean squared logit difference per compared position, by plain hooks and one text alone.

    Args:
        source: the model whose weights are restored.
        original: the original's logits for the text.
        what: experiment and layers.
    """
    ids = torch.tensor([text.ids])
    logits = patched_logits(source, host, replace(patch, ids=ids), *what)
    difference = (logits - original)[0, text.compared.start : text.compared.stop]
    return np.asarray(difference.square().mean(-1).double())


def of_the_next(states: Sequence[States], number: int, length: int) -> States:
    """The next question's states, cut or repeated."""
    other = states[(number + 1) % len(states)]
    positions = [position % other.ids.shape[1] for position in range(length)]
    coefficients = [state[:, positions] for state in other.coefficients]
    attention = [states[:, positions] for states in other.attention]
    residual = [states[:, positions] for states in other.residual]
    return States(other.ids, other.logits, coefficients, attention, residual)


def of_aligned(
    states: Sequence[States], texts: Sequence[Text], number: int, others: Sequence[int]
) -> States:
    """The mean of other questions' states, position by position from the answer's beginning."""

    def mixed(component: str, layer: int) -> torch.Tensor:
        rows = []
        for position in range(len(texts[number].ids)):
            to_answer = texts[number].answer.start - position
            at = [(other, texts[other].answer.start - to_answer) for other in others]
            at = [(other, where) for other, where in at if 0 <= where < len(texts[other].ids)]
            # Where no other question has the position, the question's own state.
            values = [
                getattr(states[other], component)[layer][0, where]
                for other, where in at or [(number, position)]
            ]
            rows.append(torch.stack(values).mean(0))
        return torch.stack(rows)[None]

    parts = (
        [mixed(component, layer) for layer in range(LAYERS)]
        for component in ("coefficients", "attention", "residual")
    )
    return States(states[number].ids, states[number].logits, *parts)


def of_noise(donor: Noise, recording: Recording, number: int) -> States:
    """The noise that the engine patches into one text."""
    tree = next(i for i, one in enumerate(recording.trees) if number in one.texts)
    path = recording.trees[tree].at(number, range(len(recording.texts[number].ids)))

    def drawn(component: str) -> list[torch.Tensor]:
        layers = range(LAYERS)
        return [donor.activations(layer, component, tree)[:, path] for layer in layers]

    parts = map(drawn, ("coefficients", "attention", "residual"))
    return States(torch.empty(0), torch.empty(0), *parts)


def patch_of(donor: Donor, recording: Recording, states: Sequence[States], number: int) -> States:
    """What a donor patches into one text, from each text's own states."""
    texts = recording.texts
    after = (number + 1) % len(texts)
    if isinstance(donor, Noise):
        return of_noise(donor, recording, number)
    if donor.name == MEAN_OF_QUESTIONS:
        others = [other for other in range(len(texts)) if other != number]
        return of_aligned(states, texts, number, others)
    if donor.name == ALIGNED_QUESTION:
        return of_aligned(states, texts, number, [after])
    assert donor.name == OTHER_QUESTION
    return of_the_next(states, number, len(texts[number].ids))


def with_noise_for_weights(original: Any, donor: Noise) -> Any:
    noisy = copy.deepcopy(original)
    for index, layer in enumerate(layers_of(noisy)):
        for name, tensor in donor.weights(index, torch.float32, CPU).items():
            layer.get_parameter(name).data = tensor
    return noisy


@TREES
@pytest.mark.parametrize("name", DENOISING)
def test_controls_equal_plain_hooks(
    tiny_llama: Path, tiny_unlearned: Path, recording: Recording, name: str
) -> None:
    donor, controls = donors_of(name, tiny_llama, recording)
    swept = sweep_with(tiny_unlearned, donor, controls)
    assert_equal_to_hooks(tiny_llama, tiny_unlearned, recording, name, controls, swept)


@pytest.mark.parametrize("name", DENOISING)
def test_controls_equal_plain_hooks_under_sliding_attention(tmp_path: Path, name: str) -> None:
    original = save_tiny(tmp_path / "original", SLIDING)
    unlearned = save_tiny(tmp_path / "unlearned", near=original, seed=1)
    recording = recording_of(original, texts_of(original), tmp_path / "recording.safetensors")
    donor, controls = donors_of(name, original, recording)
    swept = sweep_with(unlearned, donor, controls)
    assert_equal_to_hooks(original, unlearned, recording, name, controls, swept)


def assert_equal_to_hooks(
    original: Path,
    unlearned: Path,
    recording: Recording,
    name: str,
    controls: list[Donor],
    swept: Swept,
) -> None:
    names = {control.name for control in controls}
    of_questions = {OTHER_QUESTION, ALIGNED_QUESTION, MEAN_OF_QUESTIONS}
    assert names == ({NOISE} if EXPERIMENTS[name].weights else {NOISE} | of_questions)
    model, host = (
        AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        for folder in (original, unlearned)
    )
    states = [states_of(model, torch.tensor([text.ids])) for text in recording.texts]
    for control, patched in zip(controls, swept.patched[1:], strict=True):
        source = model
        if isinstance(control, Noise) and EXPERIMENTS[name].weights:
            source = with_noise_for_weights(model, control)
        assert set(patched) == {(window.first, window.last) for window in SOME}
        runs: dict[LayerRange | None, list[Scores]] = {None: swept.unpatched, **patched}
        for number, text in enumerate(recording.texts):
            patch = patch_of(control, recording, states, number)
            for run, scores in runs.items():
                layers = range(run[0], run[1] + 1) if run else range(0)
                of_hooks = losses_of(source, host, patch, text, states[number].logits, name, layers)
                assert not np.isnan(of_hooks).any()
                np.testing.assert_allclose(scores[number].squared_error, of_hooks, rtol=1e-5)


FEW = {name: CONFIGS[name] for name in ("gemma2", "gpt_neox", "olmo2", "qwen3")}


@pytest.mark.parametrize("family", FEW)
def test_controls_equal_plain_hooks_in_other_families(tmp_path: Path, family: str) -> None:
    original = save_tiny(tmp_path / "original", FEW[family])
    unlearned = save_tiny(tmp_path / "unlearned", near=original, seed=1)
    recording = recording_of(original, texts_of(original), tmp_path / "recording.safetensors")
    donor, controls = donors_of(BOTH, original, recording)
    swept = sweep_with(unlearned, donor, controls)
    assert_equal_to_hooks(original, unlearned, recording, BOTH, controls, swept)


@pytest.mark.parametrize(
    ("family", "name"),
    [*(("llama", name) for name in DENOISING), *((family, BOTH) for family in FEW)],
)
def test_a_reference_equals_plain_hooks(tmp_path: Path, family: str, name: str) -> None:
    original = save_tiny(tmp_path / "original", FEW.get(family))
    unlearned = save_tiny(tmp_path / "unlearned", near=original, seed=1)
    never_learned = save_tiny(tmp_path / "reference", near=original, seed=2)
    texts = texts_of(original)
    recording = recording_of(original, texts, tmp_path / "recording.safetensors")
    reference = reference_of(name, never_learned, texts, tmp_path / "reference.safetensors")
    donor, controls = donors_of(name, original, recording, [REFERENCE], reference)
    [patched] = sweep_with(unlearned, donor, controls).patched[1:]
    models = [
        AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        for folder in (never_learned, unlearned, original)
    ]
    assert set(patched) == {(window.first, window.last) for window in SOME}
    for number, text in enumerate(texts):
        ids = torch.tensor([text.ids])
        of_reference, of_original = states_of(models[0], ids), states_of(models[2], ids)
        for (first, last), scores in patched.items():
            what = of_reference, text, of_original.logits, name, range(first, last + 1)
            of_hooks = losses_of(*models[:2], *what)
            np.testing.assert_allclose(scores[number].squared_error, of_hooks, rtol=1e-5)


@pytest.mark.parametrize(
    ("tree_tokens", "dtype"), [(10_000, torch.float32), (100, torch.bfloat16)], ids=str
)
@pytest.mark.parametrize("name", DENOISING)
def test_controls_change_no_bit_of_the_originals_runs(
    tmp_path: Path,
    tiny_llama: Path,
    tiny_unlearned: Path,
    recording: Recording,
    name: str,
    dtype: torch.dtype,
) -> None:
    path = tmp_path / "in_dtype.safetensors"
    recording = recording_of(tiny_llama, recording.texts, path, dtype)
    donor, controls = donors_of(name, tiny_llama, recording)
    alone = runs_of(sweep_of(model_of(tiny_unlearned, dtype), donor, WINDOWS))
    beside = runs_of(sweep(model_of(tiny_unlearned, dtype), [donor, *controls], recording))
    assert alone.keys() == beside.keys()
    for run, scores in alone.items():
        for one, other in zip(scores, beside[run], strict=True):
            for field in FIELDS:
                assert not np.isnan(getattr(one, field)).any()
                np.testing.assert_array_equal(getattr(one, field), getattr(other, field))


@TREES
@pytest.mark.parametrize("name", ["mlp_coefficients", "value_vectors"])
def test_a_sweep_with_controls_reads_each_layer_once(
    tiny_llama: Path,
    tiny_unlearned: Path,
    recording: Recording,
    name: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reads: list[int] = []
    read_layer = Checkpoint.read_layer

    def counting(self: Checkpoint, layer: int, *arguments: Any) -> dict[str, torch.Tensor]:
        reads.append(layer)
        return read_layer(self, layer, *arguments)

    monkeypatch.setattr(Checkpoint, "read_layer", counting)
    donor, controls = donors_of(name, tiny_llama, recording)
    sweep_with(tiny_unlearned, donor, controls)
    assert reads == list(range(LAYERS))


def test_noise_has_the_norms_of_what_it_replaces() -> None:
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


@TREES
def test_noise_has_the_originals_norm_per_position_and_value_vector(
    tiny_llama: Path, recording: Recording
) -> None:
    donor = Noise(EXPERIMENTS["attention"], recording, Checkpoint(tiny_llama), seed=SEED)
    for tree in range(len(recording.trees)):
        for component in ("coefficients", "attention"):
            recorded = recording.activations(4, component, tree)
            noise = donor.activations(4, component, tree)
            assert noise.shape == recorded.shape
            torch.testing.assert_close(noise.norm(dim=-1), recorded.norm(dim=-1))
            assert (noise - recorded).norm() > recorded.norm()
    of_layer = Checkpoint(tiny_llama).read_layer(4, torch.float32, CPU)
    donor = Noise(EXPERIMENTS["all_weights"], recording, Checkpoint(tiny_llama), seed=SEED)
    drawn = donor.weights(4, torch.float32, CPU)
    assert drawn.keys() == of_layer.keys()
    for name, weight in of_layer.items():
        # Of a matrix each column, as of the down projection each value vector.
        torch.testing.assert_close(drawn[name].norm(dim=0), weight.norm(dim=0))
        assert (drawn[name] - weight).norm() > 0.5 * weight.norm()


@TREES
def test_noise_follows_from_seed_layer_component_and_texts(
    tmp_path: Path, tiny_llama: Path, recording: Recording
) -> None:
    def drawn(seed: int, layer: int, texts: Recording = recording) -> torch.Tensor:
        donor = Noise(EXPERIMENTS["attention"], texts, Checkpoint(tiny_llama), seed=seed)
        return donor.activations(layer, "attention", 0)

    first = drawn(0, 1)
    assert torch.equal(drawn(0, 1), first)
    fewer = recording_of(tiny_llama, texts_of(tiny_llama)[:3], tmp_path / "fewer.safetensors")
    # Directions are compared: the norms are those of the recorded activations.
    for other in (drawn(1, 1), drawn(0, 2), drawn(0, 1, fewer)):
        count = min(first.shape[1], other.shape[1])
        similarity = torch.cosine_similarity(first[:, :count], other[:, :count], dim=-1)
        assert similarity.abs().max() < 0.9


@ONE_TREE
def test_controls_are_in_the_windows_of_their_layers(
    tiny_llama: Path, recording: Recording
) -> None:
    donor = Donor(EXPERIMENTS["attention"], recording, Checkpoint(tiny_llama), WINDOWS)
    assert controls_of(donor, [], [2], SEED) == []
    assert controls_of(donor, ["noise"], [], SEED) == []
    (noise,) = controls_of(donor, ["noise"], [2], SEED)
    assert {window.layer for window in noise.windows} == {2}
    assert len(noise.windows) == 5  # one of each kind
    with pytest.raises(StudyError, match="6 is not a layer"):
        controls_of(donor, ["noise"], [2, 6], SEED)


@TREES
@pytest.mark.parametrize("name", DENOISING)
def test_a_models_own_activations_change_nothing(
    tiny_llama: Path, tiny_unlearned: Path, recording: Recording, name: str
) -> None:
    donor = SelfPatch(EXPERIMENTS[name], recording, Checkpoint(tiny_unlearned))
    swept = sweep_of(model_of(tiny_unlearned), donor, WINDOWS)
    assert all((scores.squared_error > 0).all() for scores in swept.unpatched)
    for patched in swept.patched[0].values():
        for scores, unpatched in zip(patched, swept.unpatched, strict=True):
            for field in ("squared_error", "logprob"):
                expected = getattr(unpatched, field)
                np.testing.assert_allclose(getattr(scores, field), expected, rtol=1e-4)
