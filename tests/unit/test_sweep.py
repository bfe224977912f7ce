"""The engine against plain hooks on the whole model, and the invariants that must hold."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, MistralConfig, Qwen2Config

from plain_hooks import patched_logits, states_of
from stillknows.engine import sweep as sweep_module
from stillknows.engine.patches import EXPERIMENTS, Donor
from stillknows.engine.recording import OriginalLogits, Recording, Scores
from stillknows.engine.windows import Window, windows_of
from stillknows.models.reader import Checkpoint
from stillknows.terms import DENOISING
from stillknows.texts.spans import Text
from tiny import LAYERS, save_tiny, tiny_config
from tiny_sweeps import WINDOWS, loss_of, model_of, recording_of, runs_of, sweep_of, texts_of


@pytest.fixture
def recording(tmp_path: Path, tiny_llama: Path) -> Recording:
    return recording_of(tiny_llama, texts_of(tiny_llama), tmp_path / "recording.safetensors")


def logits_of(
    monkeypatch: pytest.MonkeyPatch,
    original: Path,
    unlearned: Path,
    recording: Recording,
    name: str,
) -> dict[tuple[int, int] | None, list[torch.Tensor]]:
    """The logits that the engine scores, per run and text."""
    logits: dict[int, torch.Tensor] = {}  # by the identity of their scores
    score = OriginalLogits.score

    def spy(self: OriginalLogits, of_run: torch.Tensor) -> Scores:
        scores = score(self, of_run)
        logits[id(scores)] = of_run.clone()
        return scores

    monkeypatch.setattr(OriginalLogits, "score", spy)
    donor = Donor(EXPERIMENTS[name], recording, Checkpoint(original))
    swept = sweep_of(model_of(unlearned), donor, WINDOWS)
    return {
        run: [logits[id(of_text)] for of_text in scores] for run, scores in runs_of(swept).items()
    }


def assert_equal_to_hooks(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, original: Path, unlearned: Path, name: str
) -> None:
    texts = texts_of(original)
    recording = recording_of(original, texts, tmp_path / "recording.safetensors")
    logits = logits_of(monkeypatch, original, unlearned, recording, name)
    models = [
        AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        for folder in (original, unlearned)
    ]
    # Each text alone and without padding.
    states = {text: states_of(models[0], torch.tensor([text.ids])) for text in texts}
    assert set(logits) == {None, *((window.first, window.last) for window in WINDOWS)}
    for run, of_texts in logits.items():
        layers = range(0) if run is None else range(run[0], run[1] + 1)
        for text, of_engine in zip(texts, of_texts, strict=True):
            of_hooks = patched_logits(*models, states[text], name, layers)[0]
            of_hooks = of_hooks[text.compared.start : text.compared.stop]
            assert not of_hooks.isnan().any()
            assert (of_engine - of_hooks).abs().max() <= 1e-5 * of_hooks.abs().max()


@pytest.mark.parametrize("name", DENOISING)
def test_logits_equal_plain_hooks(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    tiny_llama: Path,
    tiny_unlearned: Path,
    name: str,
) -> None:
    assert_equal_to_hooks(monkeypatch, tmp_path, tiny_llama, tiny_unlearned, name)


@pytest.mark.parametrize("name", DENOISING)
@pytest.mark.parametrize(
    "config",
    [
        tiny_config(tie_word_embeddings=True),
        tiny_config(attention_bias=True, mlp_bias=True),
        MistralConfig(**tiny_config().to_dict() | {"sliding_window": 8, "model_type": "mistral"}),
        Qwen2Config(**tiny_config().to_dict() | {"model_type": "qwen2"}),
    ],
    ids=["tied", "biases", "mistral", "qwen2"],
)
def test_logits_equal_plain_hooks_in_similar_families(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, config: object, name: str
) -> None:
    original = save_tiny(tmp_path / "original", config)
    unlearned = save_tiny(tmp_path / "unlearned", near=original, seed=1)
    assert_equal_to_hooks(monkeypatch, tmp_path, original, unlearned, name)


@pytest.mark.parametrize("name", DENOISING)
def test_a_question_scores_the_same_alone_and_in_a_token_tree(
    tmp_path: Path,
    tiny_llama: Path,
    tiny_unlearned: Path,
    name: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    texts = texts_of(tiny_llama)

    def run(read: Sequence[Text], tree_tokens: int) -> dict[tuple[int, int] | None, list[Scores]]:
        monkeypatch.setattr("stillknows.engine.token_tree.TREE_TOKENS", tree_tokens)
        recording = recording_of(tiny_llama, read, tmp_path / "recording.safetensors")
        donor = Donor(EXPERIMENTS[name], recording, Checkpoint(tiny_llama))
        return runs_of(sweep_of(model_of(tiny_unlearned), donor, WINDOWS))

    together = run(texts, tree_tokens=10_000)
    for number, text in enumerate(texts):
        for window, (alone,) in run([text], tree_tokens=1).items():
            in_tree = together[window][number]
            np.testing.assert_allclose(loss_of([in_tree]), loss_of([alone]), rtol=1e-5)
            np.testing.assert_allclose(in_tree.kl, alone.kl, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("name", DENOISING)
def test_the_original_as_host_has_nothing_to_recover(
    recording: Recording, tiny_llama: Path, name: str
) -> None:
    donor = Donor(EXPERIMENTS[name], recording, Checkpoint(tiny_llama))
    swept = sweep_of(model_of(tiny_llama), donor, WINDOWS)
    for unpatched in swept.unpatched:
        assert (unpatched.squared_error == 0).all()
        assert (unpatched.kl == 0).all()
    for scores in swept.patched[0].values():
        assert all((of_text.agrees == 1).all() for of_text in scores)


def test_both_components_in_all_layers_recover_everything(
    tmp_path: Path, recording: Recording, tiny_llama: Path
) -> None:
    # The pair differs in its layers' attention and gates only: all else is equal.
    unlearned = save_tiny(tmp_path / "unlearned", near=tiny_llama, seed=1)
    keep_value_vectors(tiny_llama, unlearned)
    donor = Donor(EXPERIMENTS["mlp_coefficients_and_attention"], recording, Checkpoint(tiny_llama))
    everything = [Window("suffix", 0, 0, LAYERS - 1)]
    swept = sweep_of(model_of(unlearned), donor, everything)
    unpatched, patched = loss_of(swept.unpatched), loss_of(swept.patched[0][0, LAYERS - 1])
    assert (unpatched > 0).all()
    np.testing.assert_allclose(1 - patched / unpatched, 1, atol=1e-6)


def keep_value_vectors(original: Path, unlearned: Path) -> None:
    models = [AutoModelForCausalLM.from_pretrained(folder) for folder in (original, unlearned)]
    for source, target in zip(*(model.model.layers for model in models), strict=True):
        target.mlp.down_proj.weight.data = source.mlp.down_proj.weight.data
    models[1].save_pretrained(unlearned)


def test_modules_are_restored_after_an_exception(
    recording: Recording, tiny_llama: Path, tiny_unlearned: Path
) -> None:
    host = model_of(tiny_unlearned)
    before = {name: id(module) for name, module in host.model.named_modules()}
    donor = Donor(EXPERIMENTS["mlp_coefficients_and_attention"], recording, Checkpoint(tiny_llama))
    calls = 0

    def fails(*_arguments: object) -> None:
        nonlocal calls
        calls += 1
        if calls > 4:
            raise RuntimeError("a layer fails")

    for layer in host.layers:
        layer.register_forward_hook(fails)
    with pytest.raises(RuntimeError, match="a layer fails"):
        sweep_of(host, donor, WINDOWS)
    assert {name: id(module) for name, module in host.model.named_modules()} == before
    assert all(parameter.is_meta for parameter in host.model.parameters())
    assert not any("forward" in vars(module) for module in host.model.modules())


@pytest.mark.parametrize("name", DENOISING)
def test_what_is_patched_or_known_is_never_computed(
    recording: Recording, tiny_llama: Path, tiny_unlearned: Path, name: str
) -> None:
    windows = windows_of(["sliding_3"], LAYERS)
    host = model_of(tiny_unlearned)
    rows = {"attention": 0, "mlp": 0}
    for layer in host.layers:
        for part, module in (("attention", layer.self_attn), ("mlp", layer.mlp)):
            module.register_forward_pre_hook(
                lambda _module, inputs, keywords, part=part: rows.update(
                    {part: rows[part] + len((inputs or (keywords["hidden_states"],))[0])}
                ),
                with_kwargs=True,
            )
    sweep_of(host, Donor(EXPERIMENTS[name], recording, Checkpoint(tiny_llama)), windows)
    starts = {window.first for window in windows}
    # At each layer: the unpatched run and every finished run; then the rows inside a window, of
    # which those that start here read what the unpatched run has read.
    unpatched = sum(1 + sum(window.last < k for window in windows) for k in range(LAYERS))
    inside = [
        (s, k) for s in starts for k in range(s, max(w.last for w in windows if w.first == s) + 1)
    ]
    later = sum(start != k for start, k in inside)
    attention, mlp = {
        "mlp_coefficients": (later, 0),
        "attention": (0, len(inside)),
        "mlp_coefficients_and_attention": (0, 0),
        "value_vectors": (later, later),
        "gate_and_up_weights": (later, len(inside)),
    }.get(name, (len(inside), len(inside)))
    trees = len(recording.trees)
    assert rows["attention"] == trees * (unpatched + attention)
    assert rows["mlp"] == trees * (unpatched + mlp)


def test_the_size_of_calls_changes_rounding_only(
    recording: Recording, tiny_llama: Path, tiny_unlearned: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    donor = Donor(EXPERIMENTS["attention"], recording, Checkpoint(tiny_llama))
    large = runs_of(sweep_of(model_of(tiny_unlearned), donor, WINDOWS))
    monkeypatch.setattr(sweep_module, "TOKENS_PER_CALL", 1)
    monkeypatch.setattr(sweep_module, "POSITIONS_PER_CALL", 1)
    small = runs_of(sweep_of(model_of(tiny_unlearned), donor, WINDOWS))
    for run, scores in large.items():
        for one, other in zip(scores, small[run], strict=True):
            np.testing.assert_allclose(one.squared_error, other.squared_error, rtol=1e-5)
            np.testing.assert_allclose(one.kl, other.kl, rtol=1e-3, atol=1e-6)
