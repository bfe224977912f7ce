"""Depth at a fact's positions: against the dumbest hooks, in every family, and what must hold."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from test_families import CONFIGS
from torch import Tensor
from transformers import AutoModelForCausalLM, MistralConfig, Qwen2Config

from plain_hooks import layers_of
from stillknows.engine import depth, streamed_model
from stillknows.engine.depth import FactScores, patch_facts, read_layers, record_facts
from stillknows.texts.spans import FactText
from tiny import LAYERS, save_tiny, tiny_config
from tiny_sweeps import model_of

LLAMA = tiny_config().to_dict()
ALL_FAMILIES = CONFIGS | {
    "llama": tiny_config(),
    "mistral": MistralConfig(**LLAMA | {"sliding_window": 8, "model_type": "mistral"}),
    "qwen2": Qwen2Config(**LLAMA | {"model_type": "qwen2"}),
}
# They begin alike; facts are in the middle, at the end and at the second token.
TEXTS = [
    FactText((*range(5, 25), 30, 31, 32, 33), range(19, 23)),
    FactText((*range(5, 25), 40, 41, 42, 43, 44, 45), range(22, 25)),
    FactText((*range(5, 18), 50, 51), range(12, 14)),
    FactText((5, 60, 61, 62), range(0, 2)),
]


def by_hooks(host: Any, donor: Any, text: FactText, layer: int) -> Tensor:
    """The fact's log-probabilities with the donor's output of a layer at the fact's positions."""
    ids = torch.tensor([text.ids])
    kept: list[Tensor] = []
    hook = layers_of(donor)[layer].register_forward_hook(lambda _m, _i, out: kept.append(out))
    donor(ids)
    hook.remove()

    def replace(_module: Any, _inputs: Any, output: Tensor) -> Tensor:
        output = output.clone()
        output[:, list(text.fact)] = kept[0][:, list(text.fact)]
        return output

    hook = layers_of(host)[layer].register_forward_hook(replace)
    logprobs = host(ids).logits[0].log_softmax(-1)
    hook.remove()
    return torch.stack([logprobs[position, text.ids[position + 1]] for position in text.fact])


def patched(host: Path, donors: Sequence[Path], texts: Sequence[FactText] = TEXTS) -> FactScores:
    states = [record_facts(model_of(donor), texts)[0] for donor in donors]
    return patch_facts(model_of(host), texts, states)


@pytest.mark.parametrize("case", ALL_FAMILIES)
@torch.no_grad()
def test_equal_to_plain_hooks(tmp_path: Path, case: str) -> None:
    host = save_tiny(tmp_path / "host", ALL_FAMILIES[case])
    donor = save_tiny(tmp_path / "donor", near=host, seed=1)
    scores = patched(host, [donor])
    models = [
        AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        for folder in (host, donor)
    ]
    for number, text in enumerate(TEXTS):
        for layer in range(LAYERS):
            expected = by_hooks(*models, text, layer)
            assert (
                scores.patched[0][number][layer] - expected
            ).abs().max() <= 1e-5 * expected.abs().max()
        assert torch.equal(
            scores.unpatched[number].isfinite(), torch.ones(len(text.fact), dtype=torch.bool)
        )


@pytest.mark.parametrize("case", ALL_FAMILIES)
@torch.no_grad()
def test_the_logit_lens_is_the_model_without_the_layers_above(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    folder = save_tiny(tmp_path, ALL_FAMILIES[case])
    monkeypatch.setattr(depth, "POSITIONS_PER_CALL", 5)  # facts are cut
    lens = read_layers(model_of(folder), TEXTS, record_facts(model_of(folder), TEXTS)[0])
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    for last in reversed(range(LAYERS)):
        for text, read in zip(TEXTS, lens, strict=True):
            logprobs = model(torch.tensor([text.ids])).logits[0].log_softmax(-1)
            plain = [logprobs[position, text.ids[position + 1]] for position in text.fact]
            torch.testing.assert_close(read[last], torch.stack(plain), rtol=1e-5, atol=1e-5)
        layers_of(model)[last].register_forward_hook(lambda _module, inputs, _output: inputs[0])


def test_the_host_patched_into_itself_changes_nothing(tiny_llama: Path) -> None:
    scores = patched(tiny_llama, [tiny_llama])
    for unpatched, runs in zip(scores.unpatched, scores.patched[0], strict=True):
        torch.testing.assert_close(runs, unpatched.expand_as(runs), rtol=1e-5, atol=1e-6)


def test_a_further_donor_changes_no_bit(tiny_llama: Path, tiny_unlearned: Path) -> None:
    both = patched(tiny_llama, [tiny_unlearned, tiny_llama])
    alone = patched(tiny_llama, [tiny_unlearned])
    for one, other in zip(both.patched[0], alone.patched[0], strict=True):
        assert torch.equal(one, other)


def test_equal_texts_score_as_one(tiny_llama: Path, tiny_unlearned: Path) -> None:
    """Their tree has fewer tokens than all facts together."""
    alone = patched(tiny_llama, [tiny_unlearned], TEXTS[:1])
    together = patched(tiny_llama, [tiny_unlearned], TEXTS[:1] * 8)
    for runs in together.patched[0]:
        torch.testing.assert_close(runs, alone.patched[0][0], rtol=1e-5, atol=1e-6)


def test_long_texts_go_through_the_attention_of_transformers(
    tiny_llama: Path, tiny_unlearned: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_text = patched(tiny_llama, [tiny_unlearned])
    monkeypatch.setattr(streamed_model, "LONGEST_BY_TEXT", 0)
    whole_tree = patched(tiny_llama, [tiny_unlearned])
    assert not torch.equal(whole_tree.patched[0][1], by_text.patched[0][1])
    for one, other in zip(whole_tree.patched[0], by_text.patched[0], strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


def test_a_text_scores_the_same_alone_and_in_a_token_tree(
    tiny_llama: Path, tiny_unlearned: Path
) -> None:
    together = patched(tiny_llama, [tiny_unlearned])
    for number, text in enumerate(TEXTS):
        alone = patched(tiny_llama, [tiny_unlearned], [text])
        torch.testing.assert_close(
            together.patched[0][number], alone.patched[0][0], rtol=1e-5, atol=1e-6
        )
