"""Answers, and answers under a patch: compared with plain generation and with plain hooks."""

import copy
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from test_families import CONFIGS
from transformers import GenerationConfig

from plain_hooks import patched_logits, states_of
from stillknows.answers import generate
from stillknows.answers.generate import continue_batch, generate_answers, load_model
from stillknows.answers.patched import Patch, in_lockstep, patched_answers
from stillknows.engine.patches import EXPERIMENTS, Experiment
from stillknows.errors import StudyError
from stillknows.models.checkpoint_files import load_tokenizer
from stillknows.terms import BOTH, PAPER_EXPERIMENTS
from tiny import LAYERS, save_tiny, tiny_config

CPU = torch.device("cpu")
# Longer than the sliding windows of the families that have them.
PROMPTS = [[5, 6, 7, 8], [9, 10], list(range(20, 33)), [13, 14, 15, 16, 17, 18]]
NEW_TOKENS = 8
PAD = 1
NAMES = list(PAPER_EXPERIMENTS)
NOTHING = Patch("nothing", 0, LAYERS - 1)
EVERYTHING = Patch("everything", 0, LAYERS - 1)
FAMILIES = {"llama": tiny_config(), **CONFIGS}


@pytest.fixture(autouse=True)
def further_experiments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(EXPERIMENTS, "nothing", Experiment())
    everything = Experiment(True, True, weights=frozenset({"value_vectors"}))
    monkeypatch.setitem(EXPERIMENTS, "everything", everything)


def endless(folder: Path) -> Any:
    """A whole model that never ends an answer by itself."""
    model = load_model(folder, torch.float32, CPU)
    model.generation_config = GenerationConfig()
    return model


@pytest.fixture(scope="module", params=FAMILIES)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """An original and an unlearned model of one family."""
    folder = tmp_path_factory.mktemp("pair")
    original = save_tiny(folder / "original", FAMILIES[request.param])
    unlearned = save_tiny(folder / "unlearned", near=original, seed=1)
    return endless(original), endless(unlearned)


@pytest.fixture(scope="module")
def llamas(tiny_llama: Path, tiny_unlearned: Path) -> Any:
    return endless(tiny_llama), endless(tiny_unlearned)


def by_hand(original: Any, unlearned: Any, prompt: Sequence[int], patch: tuple[str, range]) -> Any:
    """Greedy decoding without a cache: for each token, the whole text again by both models."""
    ids = list(prompt)
    for _ in range(NEW_TOKENS):
        states = states_of(original, torch.tensor([ids]))
        logits = patched_logits(original, unlearned, states, *patch)
        ids.append(int(logits[0, -1].argmax()))
    return ids[len(prompt) :]


def answers_in_lockstep(
    pair: Any, patches: list[Patch], prompts: list[list[int]]
) -> list[list[int]]:
    original, unlearned = pair
    with in_lockstep(original, unlearned, patches):
        return continue_batch(unlearned, prompts, NEW_TOKENS, PAD)


def test_the_two_models_differ(pair: Any) -> None:
    original, unlearned = (continue_batch(model, PROMPTS, NEW_TOKENS, PAD) for model in pair)
    assert all(a != b for a, b in zip(original, unlearned, strict=True))


def test_with_nothing_patched_it_is_plain_generation(pair: Any) -> None:
    plain = continue_batch(pair[1], PROMPTS, NEW_TOKENS, PAD)
    assert answers_in_lockstep(pair, [NOTHING] * len(PROMPTS), PROMPTS) == plain


def test_with_everything_patched_it_is_the_original(pair: Any) -> None:
    """Embedding, final norm and head are the same in both models; norms within layers too."""
    original, unlearned = pair[0], copy.deepcopy(pair[1])
    with torch.no_grad():
        for mine, theirs in zip(_layers(unlearned), _layers(original), strict=True):
            for name, parameter in mine.named_parameters():
                if "norm" in name or name.endswith("bias"):
                    parameter.copy_(theirs.get_parameter(name))
    plain = continue_batch(original, PROMPTS, NEW_TOKENS, PAD)
    patches = [EVERYTHING] * len(PROMPTS)
    assert answers_in_lockstep((original, unlearned), patches, PROMPTS) == plain


def _layers(model: Any) -> Any:
    return model.base_model.layers


def test_each_answer_equals_plain_hooks_without_a_cache(pair: Any) -> None:
    """In each family with both activations; below, each experiment in one family."""
    patch = Patch(BOTH, 1, 3)
    together = answers_in_lockstep(pair, [patch] * len(PROMPTS), PROMPTS)
    assert together == [by_hand(*pair, prompt, (BOTH, range(1, 4))) for prompt in PROMPTS]


@pytest.mark.parametrize("layers", [range(0, 1), range(4, LAYERS), range(LAYERS)], ids=str)
@pytest.mark.parametrize("experiment", NAMES)
def test_windows_at_the_ends(llamas: Any, experiment: str, layers: range) -> None:
    patch = Patch(experiment, layers.start, layers.stop - 1)
    together = answers_in_lockstep(llamas, [patch] * len(PROMPTS), PROMPTS)
    assert together == [by_hand(*llamas, prompt, (experiment, layers)) for prompt in PROMPTS]


def test_rows_of_one_batch_are_patched_each_in_its_own_way(llamas: Any) -> None:
    patches = [Patch(name, k, k + 2) for k, name in enumerate(NAMES)]
    together = answers_in_lockstep(llamas, patches, PROMPTS)
    by_name = zip(NAMES, patches, PROMPTS, strict=True)
    assert together == [
        by_hand(*llamas, prompt, (name, range(patch.first_layer, patch.last_layer + 1)))
        for name, patch, prompt in by_name
    ]


def test_what_is_at_padded_positions_does_not_matter(llamas: Any) -> None:
    original, unlearned = llamas
    answers = []
    for pad in (1, 77):
        with in_lockstep(original, unlearned, [EVERYTHING] * len(PROMPTS)):
            answers.append(continue_batch(unlearned, PROMPTS, NEW_TOKENS, pad))
    assert answers[0] == answers[1]
    alone = [answers_in_lockstep(llamas, [EVERYTHING], [prompt])[0] for prompt in PROMPTS]
    assert answers[0] == alone


def test_the_original_reads_a_prompt_once_for_all_patches(llamas: Any, monkeypatch: Any) -> None:
    patches = [Patch(name, 1, 3) for name in NAMES for _ in PROMPTS]
    plain, read = llamas[0].base_model.forward, []

    def watched(**arguments: Any) -> Any:
        read.append(len(arguments["input_ids"]))
        return plain(**arguments)

    monkeypatch.setattr(llamas[0].base_model, "forward", watched)
    together = answers_in_lockstep(llamas, patches, PROMPTS * len(NAMES))
    # Value vectors need no original; of the other rows, each writes its own continuation.
    recorded = (len(NAMES) - 1) * len(PROMPTS)
    assert read == [len(PROMPTS)] + [recorded] * (NEW_TOKENS - 1)
    apart = [answers_in_lockstep(llamas, [p] * 4, PROMPTS) for p in patches[:: len(PROMPTS)]]
    assert together == [answer for answers in apart for answer in answers]


def test_hooks_are_gone_after_an_exception(llamas: Any) -> None:
    plain = [continue_batch(model, PROMPTS, NEW_TOKENS, PAD) for model in llamas]
    with pytest.raises(KeyboardInterrupt), in_lockstep(*llamas, [EVERYTHING] * len(PROMPTS)):
        raise KeyboardInterrupt
    assert [continue_batch(model, PROMPTS, NEW_TOKENS, PAD) for model in llamas] == plain
    for model in llamas:
        assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_answers_are_ordered_by_patch_and_prompt(llamas: Any, tiny_llama: Path) -> None:
    tokenizer = load_tokenizer(tiny_llama)
    patches = [Patch("attention", 0, 1), Patch("mlp_coefficients", 3, 5)]
    together = patched_answers(*llamas, tokenizer, PROMPTS, patches, NEW_TOKENS)
    assert together == [
        [patched_answers(*llamas, tokenizer, [ids], [patch], NEW_TOKENS)[0][0] for ids in PROMPTS]
        for patch in patches
    ]


def batches_of(monkeypatch: Any, lengths: list[int], most: int) -> list[list[int]]:
    """The lengths in each batch, on a device whose memory holds `most` prompts."""
    seen: list[list[int]] = []

    def compute(_model: Any, prompts: list[list[int]], *_: Any, **__: Any) -> list[list[int]]:
        if len(prompts) > most:
            raise torch.OutOfMemoryError("no memory\nmore words")
        seen.append([len(ids) for ids in prompts])
        return [[len(ids)] for ids in prompts]

    monkeypatch.setattr(generate, "continue_batch", compute)
    monkeypatch.setattr(generate, "decode_answer", lambda _ids, answer, _tokenizer: str(*answer))
    prompts = [[5] * length for length in lengths]
    tokenizer = SimpleNamespace(eos_token_id=PAD)
    assert generate_answers(None, tokenizer, prompts, NEW_TOKENS) == [str(n) for n in lengths]
    return seen


def test_batches_are_of_similar_length_and_size(monkeypatch: Any) -> None:
    monkeypatch.setattr(generate, "ROWS", 5)
    assert batches_of(monkeypatch, [3, 9, 1, 8, 2, 7], 5) == [[9, 8, 7], [3, 2, 1]]


def test_out_of_memory_halves_the_batches(monkeypatch: Any, caplog: Any) -> None:
    assert batches_of(monkeypatch, [1] * 7, 2) == [[1]] * 7
    assert "out of memory: batches of 3" in caplog.text
    with pytest.raises(StudyError, match=r"\(no memory\)"):
        batches_of(monkeypatch, [1] * 3, 0)
