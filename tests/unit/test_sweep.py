"""The engine against plain hooks on the whole model, and the invariants that must hold."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, MistralConfig, Qwen2Config

from dissect.checkpoints.reader import Checkpoint
from dissect.engine import sweep as sweep_module
from dissect.engine.patches import EXPERIMENTS, Donor
from dissect.engine.record import record
from dissect.engine.recording import Recording, read_recording, write_recording
from dissect.engine.scores import Reference, Scores
from dissect.engine.skeleton import Skeleton
from dissect.engine.sweep import sweep
from dissect.engine.table import recovery
from dissect.study.windows import Window, windows_of
from dissect.texts.prompts import load_tokenizer
from dissect.texts.spans import Text, read_texts
from plain_hooks import patched_logits, states_of
from tiny import LAYERS, save_tiny, tiny_concept, tiny_config

CPU = torch.device("cpu")
WINDOWS = windows_of(["sliding_1", "sliding_3", "sliding_5", "suffix"], LAYERS)


def texts_of(folder: Path, questions: int = 4) -> list[Text]:
    return read_texts(tiny_concept(questions=questions), "paper", load_tokenizer(folder))


def recording_of(folder: Path, texts: Sequence[Text], path: Path) -> Recording:
    skeleton = Skeleton(Checkpoint(folder), torch.float32, CPU)
    write_recording(path, record(skeleton, texts), texts, {})
    return read_recording(path)


def logits_of(
    monkeypatch: pytest.MonkeyPatch,
    original: Path,
    unlearned: Path,
    recording: Recording,
    experiment: str,
    windows: Sequence[Window],
) -> tuple[dict[tuple[int, int] | None, list[torch.Tensor]], list[Scores]]:
    """The logits that the engine scores, per window and text."""
    seen: list[torch.Tensor] = []
    score = Reference.score

    def spy(self: Reference, logits: torch.Tensor) -> Scores:
        seen.append(logits.clone())
        return score(self, logits)

    monkeypatch.setattr(Reference, "score", spy)
    monkeypatch.setattr(sweep_module, "POSITIONS_PER_CALL", 1)
    spans, scores = sweep(
        Skeleton(Checkpoint(unlearned), torch.float32, CPU),
        Donor(EXPERIMENTS[experiment], recording, Checkpoint(original)),
        windows,
    )
    order = [member for pack in recording.packs for member in pack.members]
    rows: list[tuple[int, int] | None] = [None, *spans]
    logits: dict[tuple[int, int] | None, list[torch.Tensor]] = {}
    for place, row in enumerate(rows):
        found = {member: seen[place * len(order) + i][0] for i, member in enumerate(order)}
        logits[row] = [found[number] for number in range(len(order))]
    return logits, scores


def assert_equal_to_hooks(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, original: Path, unlearned: Path, name: str
) -> None:
    texts = texts_of(original)
    recording = recording_of(original, texts, tmp_path / "recording.safetensors")
    logits, _ = logits_of(monkeypatch, original, unlearned, recording, name, WINDOWS)
    models = [
        AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        for folder in (original, unlearned)
    ]
    # Each text alone and without padding.
    states = {text: states_of(models[0], torch.tensor([text.ids])) for text in texts}
    assert set(logits) == {None, *((window.first, window.last) for window in WINDOWS)}
    for row, found in logits.items():
        layers = range(0) if row is None else range(row[0], row[1] + 1)
        for text, ours in zip(texts, found, strict=True):
            theirs = patched_logits(*models, states[text], name, layers)[0]
            theirs = theirs[text.compared.start : text.compared.stop]
            assert not theirs.isnan().any()
            assert (ours - theirs).abs().max() <= 1e-5 * theirs.abs().max()


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_logits_equal_plain_hooks(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    tiny_llama: Path,
    tiny_unlearned: Path,
    name: str,
) -> None:
    assert_equal_to_hooks(monkeypatch, tmp_path, tiny_llama, tiny_unlearned, name)


@pytest.mark.parametrize("name", EXPERIMENTS)
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
def test_logits_equal_plain_hooks_in_like_families(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, config: object, name: str
) -> None:
    original = save_tiny(tmp_path / "original", config)
    unlearned = save_tiny(tmp_path / "unlearned", near=original, seed=1)
    assert_equal_to_hooks(monkeypatch, tmp_path, original, unlearned, name)


def loss_of(scores: Scores) -> np.ndarray:
    return scores.squared_error.mean(axis=1)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_a_question_alone_or_in_a_pack_is_the_same(
    tmp_path: Path,
    tiny_llama: Path,
    tiny_unlearned: Path,
    name: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    texts = texts_of(tiny_llama)

    def run(some: Sequence[Text], pack_tokens: int) -> list[Scores]:
        monkeypatch.setattr("dissect.engine.packs.PACK_TOKENS", pack_tokens)
        recording = recording_of(tiny_llama, some, tmp_path / "recording.safetensors")
        donor = Donor(EXPERIMENTS[name], recording, Checkpoint(tiny_llama))
        skeleton = Skeleton(Checkpoint(tiny_unlearned), torch.float32, CPU)
        return sweep(skeleton, donor, WINDOWS)[1]

    together = run(texts, pack_tokens=10_000)
    alone = [run([text], pack_tokens=1)[0] for text in texts]
    for one, other in zip(together, alone, strict=True):
        np.testing.assert_allclose(loss_of(one), loss_of(other), rtol=1e-5)
        np.testing.assert_allclose(one.kl, other.kl, rtol=1e-3, atol=1e-6)


def test_chunks_change_no_bit(
    tmp_path: Path, tiny_llama: Path, tiny_unlearned: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recording = recording_of(tiny_llama, texts_of(tiny_llama), tmp_path / "recording.safetensors")
    donor = Donor(EXPERIMENTS["attention"], recording, Checkpoint(tiny_llama))
    skeleton = Skeleton(Checkpoint(tiny_unlearned), torch.float32, CPU)
    large = sweep(skeleton, donor, WINDOWS)[1]
    monkeypatch.setattr(sweep_module, "TOKENS_PER_CALL", 1)
    small = sweep(skeleton, donor, WINDOWS)[1]
    for one, other in zip(large, small, strict=True):
        np.testing.assert_array_equal(one.squared_error, other.squared_error)
        np.testing.assert_array_equal(one.kl, other.kl)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_the_original_in_the_unlearned_ones_place_has_nothing_to_recover(
    tmp_path: Path, tiny_llama: Path, name: str
) -> None:
    recording = recording_of(tiny_llama, texts_of(tiny_llama), tmp_path / "recording.safetensors")
    donor = Donor(EXPERIMENTS[name], recording, Checkpoint(tiny_llama))
    _, scores = sweep(Skeleton(Checkpoint(tiny_llama), torch.float32, CPU), donor, WINDOWS)
    for score in scores:
        assert (score.squared_error[0] == 0).all()
        assert (score.kl[0] == 0).all()
        assert np.isnan(recovery(loss_of(score)[0], loss_of(score)[1:])).all()
        assert (score.agrees == 1).all()


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_the_unlearned_ones_own_states_recover_nothing(
    tmp_path: Path, tiny_llama: Path, tiny_unlearned: Path, name: str
) -> None:
    texts = texts_of(tiny_llama)
    tensors, original = (
        record(Skeleton(Checkpoint(folder), torch.float32, CPU), texts)
        for folder in (tiny_unlearned, tiny_llama)
    )
    path = tmp_path / "recording.safetensors"
    write_recording(path, tensors | {"logits": original["logits"]}, texts, {})
    own = read_recording(path)
    donor = Donor(EXPERIMENTS[name], own, Checkpoint(tiny_unlearned))
    _, scores = sweep(Skeleton(Checkpoint(tiny_unlearned), torch.float32, CPU), donor, WINDOWS)
    for score in scores:
        loss = loss_of(score)
        assert loss[0] > 0
        np.testing.assert_allclose(recovery(loss[0], loss[1:]), 0, atol=1e-5)


def test_all_layers_with_both_components_give_the_original_back(
    tmp_path: Path, tiny_llama: Path
) -> None:
    # The pair differs in its layers' attention and gates only: what is not put back is equal.
    unlearned = save_tiny(tmp_path / "unlearned", near=tiny_llama, seed=1)
    keep_value_vectors(tiny_llama, unlearned)
    recording = recording_of(tiny_llama, texts_of(tiny_llama), tmp_path / "recording.safetensors")
    donor = Donor(EXPERIMENTS["mlp_coefficients_and_attention"], recording, Checkpoint(tiny_llama))
    everything = [Window("suffix", 0, 0, LAYERS - 1)]
    _, scores = sweep(Skeleton(Checkpoint(unlearned), torch.float32, CPU), donor, everything)
    for score in scores:
        loss = loss_of(score)
        assert loss[0] > 0
        np.testing.assert_allclose(recovery(loss[0], loss[1:]), 1, atol=1e-6)


def keep_value_vectors(original: Path, unlearned: Path) -> None:
    models = [AutoModelForCausalLM.from_pretrained(folder) for folder in (original, unlearned)]
    for ours, theirs in zip(*(model.model.layers for model in models), strict=True):
        theirs.mlp.down_proj.weight.data = ours.mlp.down_proj.weight.data
    models[1].save_pretrained(unlearned)


def test_modules_are_as_they_were_after_an_exception(
    tmp_path: Path, tiny_llama: Path, tiny_unlearned: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recording = recording_of(tiny_llama, texts_of(tiny_llama), tmp_path / "recording.safetensors")
    skeleton = Skeleton(Checkpoint(tiny_unlearned), torch.float32, CPU)
    before = {name: id(module) for name, module in skeleton.model.named_modules()}
    donor = Donor(EXPERIMENTS["mlp_coefficients_and_attention"], recording, Checkpoint(tiny_llama))
    calls = 0

    def fails(*_arguments: object) -> None:
        nonlocal calls
        calls += 1
        if calls > 4:
            raise RuntimeError("out of memory")

    for layer in skeleton.layers:
        layer.register_forward_hook(fails)
    with pytest.raises(RuntimeError, match="out of memory"):
        sweep(skeleton, donor, WINDOWS)
    assert {name: id(module) for name, module in skeleton.model.named_modules()} == before
    assert all(parameter.is_meta for parameter in skeleton.model.parameters())
    assert not any("forward" in vars(module) for module in skeleton.model.modules())


def test_a_sweep_reads_each_layer_once(
    tmp_path: Path, tiny_llama: Path, tiny_unlearned: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recording = recording_of(tiny_llama, texts_of(tiny_llama), tmp_path / "recording.safetensors")
    reads: list[int] = []
    read_layer = Checkpoint.read_layer

    def counting(self: Checkpoint, layer: int, *arguments: object) -> dict[str, torch.Tensor]:
        reads.append(layer)
        return read_layer(self, layer, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Checkpoint, "read_layer", counting)
    donor = Donor(EXPERIMENTS["value_vectors"], recording, Checkpoint(tiny_llama))
    sweep(Skeleton(Checkpoint(tiny_unlearned), torch.float32, CPU), donor, WINDOWS)
    assert reads == list(range(LAYERS))


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_what_is_replaced_or_known_is_never_computed(
    tmp_path: Path, tiny_llama: Path, tiny_unlearned: Path, name: str
) -> None:
    windows = windows_of(["sliding_3"], LAYERS)
    recording = recording_of(tiny_llama, texts_of(tiny_llama), tmp_path / "recording.safetensors")
    skeleton = Skeleton(Checkpoint(tiny_unlearned), torch.float32, CPU)
    experiment = EXPERIMENTS[name]
    rows = {"attention": 0, "mlp": 0}
    for layer in skeleton.layers:
        for part, module in (("attention", layer.self_attn), ("mlp", layer.mlp)):
            module.register_forward_pre_hook(
                lambda _module, inputs, keywords, part=part: rows.update(
                    {part: rows[part] + len((inputs or (keywords["hidden_states"],))[0])}
                ),
                with_kwargs=True,
            )
    sweep(skeleton, Donor(experiment, recording, Checkpoint(tiny_llama)), windows)
    starts = {window.first for window in windows}
    # At each layer: the unpatched run, and every window behind it; then the rows inside a window,
    # of which those that begin here read what the unpatched run has read.
    plain = sum(1 + sum(window.last < k for window in windows) for k in range(LAYERS))
    inside = [
        (s, k) for s in starts for k in range(s, max(w.last for w in windows if w.first == s) + 1)
    ]
    later = sum(start != k for start, k in inside)
    mlp = {"attention": len(inside), "value_vectors": later}.get(name, 0)
    assert rows["attention"] == len(recording.packs) * (plain + later * (not experiment.attention))
    assert rows["mlp"] == len(recording.packs) * (plain + mlp)
