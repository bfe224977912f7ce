"""Unlearning: losses against direct arithmetic, the trainer's promises, the check's verdicts."""

import math
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import Tensor
from torch.nn.functional import log_softmax
from transformers import (
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

from stillknows.errors import StudyError
from stillknows.training import check, texts
from stillknows.training.log_probs import TextLogProbs
from stillknows.training.methods import METHODS
from stillknows.training.methods.rmu import RMU
from stillknows.training.recipe import Recipe
from stillknows.training.scoring import logprobs_and_states, mean_nll, measure, summed_logprobs
from stillknows.training.teaching import Teaching, seed_of
from stillknows.training.texts import Material, TokenizedText
from stillknows.training.train import freeze_all_but, layer_of, train

WORDS = [f"w{number}" for number in range(60)]
PAD = 0


def tiny_model(seed: int = 0) -> Any:
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=64,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        tie_word_embeddings=True,
    )
    return LlamaForCausalLM(config).eval()


def tiny_tokenizer(chat: bool = False) -> Any:
    vocabulary = {word: place for place, word in enumerate(["<eos>", "<unk>", "U", "A", *WORDS])}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, eos_token="<eos>", unk_token="<unk>"
    )
    if chat:
        tokenizer.chat_template = "U {{ messages[0]['content'] }} A "
    return tokenizer


def some_tokens(count: int, seed: int, skipped: int = 1) -> list[TokenizedText]:
    """Texts of unequal length."""
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(5, 12, (count,), generator=generator).tolist()
    return [
        TokenizedText(tuple(torch.randint(4, 64, (n,), generator=generator).tolist()), skipped)
        for n in lengths
    ]


def some_material() -> Material:
    return Material(some_tokens(3, 1), some_tokens(5, 2, skipped=2), some_tokens(2, 3))


def a_recipe(method: str = "grad_diff", **changes: Any) -> Recipe:
    tiny = {
        "learning_rate": 1e-3,
        "steps": 3,
        "batch_size": 2,
        "accumulation": 1,
        "warmup_steps": 0,
        "schedule": "constant",
        "precision": "no",
    }
    if method == "rmu":
        tiny["layer"] = 1  # the tiny model has two layers
    return METHODS[method](**(tiny | changes))


def run(model: Any, method: str = "grad_diff", material: Material | None = None, **changes: Any):
    recipe = a_recipe(method, **changes)
    material = material or some_material()
    steps = recipe.steps
    return train(model, material, recipe, steps=steps, pad=PAD, seed=0, device="cpu")


def weights(model: Any) -> Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


# The losses


def scores(logprob: list[float], original: list[float], tokens: list[float]) -> TextLogProbs:
    return TextLogProbs(
        logprob=torch.tensor(logprob, requires_grad=True),
        original=torch.tensor(original),
        tokens=torch.tensor(tokens),
        tokens_per_text=sum(tokens) / len(tokens),
    )


def test_grad_diff_is_the_token_means_of_both_sides() -> None:
    forget = scores([-10.0, -30.0], [0.0, 0.0], [5.0, 15.0])
    retain = scores([-8.0, -4.0], [0.0, 0.0], [4.0, 4.0])
    # NLL per token: forget 40 / 20, retain 12 / 8.
    assert a_recipe().loss(forget, retain).item() == pytest.approx(-2.0 + 1.5 * 1.5)
    assert a_recipe(retain_weight=0).loss(forget, retain).item() == pytest.approx(-2.0)


def test_dpo_by_hand() -> None:
    forget = scores([-14.0], [-10.0], [2.0])  # lost 4 nats
    retain = scores([-19.0], [-20.0], [4.0])  # won 1 nat, so the margin is 5
    expected = -math.log(1 / (1 + math.exp(-0.1 * 5))) * 2 / 0.1
    assert a_recipe("dpo").loss(forget, retain).item() == pytest.approx(expected, rel=1e-6)
    anchored = a_recipe("dpo", retain_weight=2.0).loss(forget, retain).item()
    assert anchored == pytest.approx(expected + 2.0 * 19 / 4, rel=1e-6)
    by_length = a_recipe("dpo", length_normalised=True, beta=2.0)
    normalised = by_length.loss(forget, retain).item()
    margin = 1 / 4 + 4 / 2
    assert normalised == pytest.approx(math.log(1 + math.exp(-2.0 * margin)), rel=1e-6)


@pytest.mark.parametrize(("by_length", "beta"), [(False, 0.1), (True, 2.0)])
def test_npo_against_plain_torch(by_length: bool, beta: float) -> None:
    forget = scores([-14.0, -9.0, -80.0], [-10.0, -10.0, -10.0], [2.0, 5.0, 8.0])
    retain = scores([-19.0, -4.0, -6.0], [-20.0, -1.0, -6.0], [4.0, 6.0, 2.0])
    current, original = torch.tensor([-14.0, -9.0, -80.0]), torch.tensor([-10.0, -10.0, -10.0])
    if by_length:
        current, original = (lp / torch.tensor([2.0, 5.0, 8.0]) for lp in (current, original))
    ratio = torch.exp(current - original)  # pi / pi_original, as the paper writes it
    expected = (2 / beta * torch.log(1 + ratio**beta)).mean() + 0.5 * 29 / 12
    recipe = a_recipe("npo", beta=beta, length_normalised=by_length, retain_weight=0.5)
    torch.testing.assert_close(recipe.loss(forget, retain), expected)


@pytest.mark.parametrize(("beta", "margin"), [(4.5, 0.0), (0.7, 1.5)])
def test_simnpo_against_plain_torch(beta: float, margin: float) -> None:
    forget = scores([-14.0, -9.0, -1.0], [7.0, 8.0, 9.0], [2.0, 5.0, 8.0])
    retain = scores([-19.0, -4.0, -6.0], [7.0, 8.0, 9.0], [4.0, 6.0, 2.0])
    nll = torch.tensor([14.0 / 2, 9.0 / 5, 1.0 / 8])
    expected = (-2 / beta * torch.log(torch.sigmoid(beta * nll - margin))).mean() + 0.5 * 29 / 12
    recipe = a_recipe("simnpo", beta=beta, margin=margin, retain_weight=0.5)
    torch.testing.assert_close(recipe.loss(forget, retain), expected)


@pytest.mark.parametrize(
    ("method", "options", "logprob"),
    [
        ("npo", {"beta": 0.3}, -10.0),  # as under the original
        ("npo", {"beta": 0.3, "length_normalised": True}, -10.0),
        ("simnpo", {"beta": 2.0, "margin": 4.0}, -10.0),  # beta * NLL per token = margin
    ],
)
def test_at_margin_0_the_gradient_is_that_of_gradient_ascent(
    method: str, options: dict[str, Any], logprob: float
) -> None:
    """And it fades as the text becomes less likely."""
    forget = scores([logprob, -1000.0], [-10.0, -10.0], [5.0, 5.0])
    retain = scores([-9.0, -9.0], [-9.0, -9.0], [5.0, 5.0])
    a_recipe(method, retain_weight=0.0, **options).loss(forget, retain).backward()
    is_per_token = method == "simnpo" or "length_normalised" in options
    of_ascent = 1 / 2 / (5 if is_per_token else 1)  # a mean over two texts
    assert forget.logprob.grad.tolist() == pytest.approx([of_ascent, 0], abs=1e-6)
    assert retain.logprob.grad.tolist() == [0, 0]


# Hidden states


def with_states(now: list[Tensor], before: list[Tensor], seed: int = 0) -> TextLogProbs:
    none = torch.zeros(len(now))
    return TextLogProbs(none, none, none, 1.0, now, before, seed)


def unit_vector(size: int, seed: int) -> Tensor:
    """RMU's, as its code draws it."""
    torch.manual_seed(seed)
    vector = torch.rand(size)
    return vector / vector.norm()


def test_rmu_against_plain_torch() -> None:
    torch.manual_seed(7)
    forget = [torch.randn(3, 16), torch.randn(5, 16)]
    retain, frozen = ([torch.randn(n, 16) for n in (4, 2)] for _ in range(2))
    target = 2.5 * unit_vector(16, seed=3)
    of_forget = sum(((h - target) ** 2).sum() / h.numel() for h in forget) / 2
    of_retain = sum(
        ((h - old) ** 2).sum() / h.numel() for h, old in zip(retain, frozen, strict=True)
    )
    recipe = a_recipe("rmu", steering=2.5, retain_weight=10.0)
    loss = recipe.loss(with_states(forget, forget, seed=3), with_states(retain, frozen, seed=3))
    torch.testing.assert_close(loss, of_forget + 10.0 * of_retain / 2)


def test_rmu_trains_the_down_projections_of_three_layers_at_most() -> None:
    for layer, layers in ((7, [5, 6, 7]), (1, [0, 1]), (0, [0])):
        names = [f"layers.{number}.mlp.{{down}}" for number in layers]
        assert a_recipe("rmu", layer=layer).modules == names
    model, before = tiny_model(), dict(tiny_model().named_parameters())
    run(model, "rmu", layer=0)
    changed = {name for name, now in model.named_parameters() if not torch.equal(now, before[name])}
    assert changed == {"model.layers.0.mlp.down_proj.weight"}


def test_a_family_that_calls_its_parts_otherwise() -> None:
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_attention_heads": 2}
    model = GPTNeoXForCausalLM(GPTNeoXConfig(vocab_size=64, num_hidden_layers=4, **sizes))
    assert layer_of(model, 3) is model.gpt_neox.layers[3]
    freeze_all_but(model, a_recipe("rmu", layer=3).modules)
    trained = {name for name, weight in model.named_parameters() if weight.requires_grad}
    down = "gpt_neox.layers.{}.mlp.dense_4h_to_h.{}"
    assert trained == {down.format(n, part) for n in (1, 2, 3) for part in ("weight", "bias")}


def hidden_states(model: Any, text: TokenizedText, layer: int) -> Tensor:
    """Those of the whole text, (tokens, hidden), by a plain hook."""
    outputs: list[Tensor] = []
    hook = model.model.layers[layer].register_forward_hook(lambda *call: outputs.append(call[2]))
    with torch.no_grad():
        model(torch.tensor([text.ids]))
    hook.remove()
    return outputs[0][0]


def test_a_loss_is_given_what_a_frozen_copy_and_the_model_in_training_compute(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In every step, of its texts alone; states from where counted tokens are predicted."""
    frozen, material, seen = tiny_model(), some_material(), []

    class Spy(RMU):
        @property
        def reads_original(self) -> bool:
            return True

        def loss(self, forget: TextLogProbs, retain: TextLogProbs) -> Tensor:
            seen.append((forget, retain))
            return super().loss(forget, retain)

    monkeypatch.setitem(METHODS, "spy", Spy)
    run(tiny_model(), "spy", material, layer=0, steps=3, learning_rate=1e-2)
    orders = texts.orders(3, 5, 6, seed=0)
    for side, (order, all_texts) in enumerate(
        zip(orders, (material.forget, material.retain), strict=True)
    ):
        used = [all_texts[n] for n in order]
        original = torch.cat([step[side].original for step in seen])
        torch.testing.assert_close(original, measure(frozen, used, PAD), rtol=1e-6, atol=0)
        expected = [hidden_states(frozen, text, layer=0)[text.skipped - 1 :] for text in used]
        before = [states for step in seen for states in step[side].original_states]
        torch.testing.assert_close(before, expected, rtol=1e-5, atol=1e-7)
        first, last = seen[0][side].states, seen[-1][side].states
        torch.testing.assert_close([*first], expected[:2], rtol=1e-5, atol=1e-7)
        assert not torch.allclose(last[0], expected[-2], rtol=1e-3)
    assert {scores.seed for step in seen for scores in step} == {0}


def test_states_in_a_padded_batch_under_gradient_checkpointing() -> None:
    """As on a GPU: the same states and gradients, although the layers are computed twice."""
    batch = some_tokens(3, 4, skipped=3)
    results = []
    for checkpointing in (False, True):
        model = tiny_model().train()
        if checkpointing:
            model.gradient_checkpointing_enable({"use_reentrant": False})
        _, states = logprobs_and_states(model, layer_of(model, 1), batch, PAD)
        assert [len(part) for part in states] == [text.counted + 1 for text in batch]
        torch.cat(states).square().sum().backward()
        results.append((states, model.model.layers[0].mlp.down_proj.weight.grad))
    torch.testing.assert_close(results[0], results[1], rtol=0, atol=0)


def vocabulary_part(first: int, count: int, seed: int) -> list[TokenizedText]:
    """Texts of 30 words of the vocabulary, so that others have no word in common with them."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(first, first + 30, (count, 8), generator=generator).tolist()
    return [TokenizedText(tuple(text), skipped=1) for text in ids]


def test_rmu_moves_forget_states_to_the_vector_and_leaves_retain_states() -> None:
    model, frozen = tiny_model(), tiny_model()
    material = Material(vocabulary_part(4, 3, seed=1), vocabulary_part(34, 5, seed=2), [])
    recipe = {"layer": 1, "steering": 2.0, "retain_weight": 100.0, "learning_rate": 1e-2}
    log = run(model, "rmu", material, steps=150, evaluate_every=150, **recipe)
    target = 2.0 * unit_vector(16, seed=0)

    def states(of: Any, chosen: list[TokenizedText]) -> Tensor:
        return torch.stack([hidden_states(of, text, layer=1) for text in chosen])

    def distance(one: Tensor, other: Tensor) -> float:
        return float((one - other).square().mean())

    before, after = states(frozen, material.forget), states(model, material.forget)
    assert distance(after, target) < 0.7 * distance(before, target)
    retain_moved = distance(states(model, material.retain), states(frozen, material.retain))
    assert retain_moved < 0.01 * distance(after, before)
    assert log["nll_forget"].iloc[-1] > log["nll_forget"].iloc[0]


# Log-probabilities


def test_summed_logprobs_against_direct_arithmetic() -> None:
    model, some = tiny_model(), some_tokens(3, 5, skipped=3)
    for text, found in zip(some, measure(model, some, PAD), strict=True):
        with torch.no_grad():
            table = log_softmax(model(torch.tensor([text.ids])).logits[0], dim=-1)
        places = range(text.skipped, len(text.ids))
        expected = sum(float(table[place - 1, text.ids[place]]) for place in places)
        assert float(found) == pytest.approx(expected, rel=1e-5)


def test_step_nll_is_what_transformers_computes() -> None:
    model, some = tiny_model(), some_tokens(4, 6)
    ids, mask, labels = texts.collate(some, PAD)
    loss = model(input_ids=ids, attention_mask=mask, labels=labels).loss
    assert mean_nll(measure(model, some, PAD), some) == pytest.approx(loss.item(), rel=1e-5)
    counts = torch.tensor([float(text.counted) for text in some])
    logprobs = summed_logprobs(model, some, PAD)
    step = TextLogProbs(logprobs, logprobs, counts, float(counts.mean()))
    assert step.nll.mean().item() == pytest.approx(loss.item(), rel=1e-5)


def test_placebo_and_refusal_are_plain_nlls() -> None:
    forget, retain = scores([-10.0], [0.0], [5.0]), scores([-8.0], [0.0], [4.0])
    assert a_recipe("placebo").loss(forget, retain).item() == pytest.approx(8 / 4)
    loss = a_recipe("refuse", retain_weight=0.5).loss(forget, retain)
    assert loss.item() == pytest.approx(10 / 5 + 0.5 * 8 / 4)
    recipe = a_recipe("refuse", stop_at_refusal_nll=0.3)
    assert [recipe.is_done(rise=-5.0, nll=nll) for nll in (0.31, 0.3)] == [False, True]


# The trainer


@pytest.mark.parametrize("method", list(METHODS))
def test_two_runs_give_the_same_bits(method: str) -> None:
    first, second = tiny_model(), tiny_model()
    logs = [run(model, method, accumulation=2, weight_decay=0.01) for model in (first, second)]
    assert torch.equal(weights(first), weights(second))
    assert logs[0].equals(logs[1])
    assert not torch.equal(weights(first), weights(tiny_model()))


@pytest.mark.parametrize("method", list(METHODS))
def test_accumulation_equals_a_bigger_batch(method: str) -> None:
    big, small = tiny_model(), tiny_model()
    options = {"steps": 2, "schedule": "linear", "warmup_steps": 1}
    if "retain_weight" in METHODS[method].model_fields:
        options["retain_weight"] = 1.0
    one = run(big, method, batch_size=4, accumulation=1, **options)
    two = run(small, method, batch_size=1, accumulation=4, **options)
    torch.testing.assert_close(weights(big), weights(small), rtol=1e-4, atol=2e-6)
    # Absolute, since a loss may be the difference of two NLLs of about 4 nats each.
    assert one["loss"].iloc[1] == pytest.approx(two["loss"].iloc[1], rel=1e-5, abs=2e-6)


@pytest.mark.parametrize(
    ("method", "rise", "options"),
    [
        ("grad_diff", 0.5, {}),
        ("npo", 0.5, {}),
        ("simnpo", 0.1, {"beta": 0.1, "retain_weight": 1.0}),
    ],
)
def test_stops_when_the_forget_text_has_risen_enough(
    method: str, rise: float, options: dict[str, Any]
) -> None:
    settings = {"steps": 50, "learning_rate": 1e-2, "stop_at_forget_rise": rise} | options
    log = run(tiny_model(), method, **settings)
    assert 1 < log["step"].iloc[-1] < 50
    assert log["nll_forget"].iloc[-1] - log["nll_forget"].iloc[0] > rise


def test_hiding_changes_the_named_modules_alone() -> None:
    model, before = tiny_model(), dict(tiny_model().named_parameters())
    run(model, "hide", only=["layers.1.mlp"])
    changed = {name for name, now in model.named_parameters() if not torch.equal(now, before[name])}
    assert changed == {f"model.layers.1.mlp.{name}_proj.weight" for name in ("gate", "up", "down")}
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_teaching_needs_no_forget_texts() -> None:
    model, learned = tiny_model(), some_tokens(6, 1, skipped=2)
    recipe = Teaching(passes=5, batch_size=2, learning_rate=1e-2, warmup_steps=0, precision="no")
    steps = recipe.steps(len(learned))
    assert steps == 15
    settings = {"steps": steps, "pad": PAD, "seed": 0, "device": "cpu"}
    log = train(model, Material([], learned, []), recipe, **settings)
    assert log["nll_forget"].isna().all()
    assert log["nll_retain"].iloc[-1] < log["nll_retain"].iloc[0] - 0.5
    assert seed_of(0, "m never c") != seed_of(0, "m reference c") != seed_of(1, "m reference c")


def test_a_loss_that_is_not_finite_ends_the_training() -> None:
    model = tiny_model()
    with torch.no_grad():
        model.model.norm.weight[0] = math.nan
    with pytest.raises(StudyError, match="nan at step 1 of 3"):
        run(model)


def test_nothing_of_a_training_stays_behind() -> None:
    model, before = tiny_model(), torch.get_rng_state()
    run(model)
    assert torch.equal(before, torch.get_rng_state())
    assert not torch.are_deterministic_algorithms_enabled()
    assert not model.training
    assert all(parameter.grad is None for parameter in model.parameters())
    run(model, "rmu")
    assert not any(module._forward_hooks for module in model.modules())
    run(model, precision="bf16")  # accelerate keeps its precision for the whole process


# The texts


SENTENCE = "w1 w2 w3 w4 w5 w6 w7 w8 w9 w10 w11 w12. "


def test_paragraphs_end_at_a_sentence_beyond_400_characters() -> None:
    found = texts.paragraphs(SENTENCE * 25)
    assert [len(paragraph) > 400 for paragraph in found] == [True, True, False]
    assert all(paragraph.endswith("w12.") for paragraph in found)
    assert " ".join(found) == (SENTENCE * 25).strip()


def an_entry(identity: str, content: str | None = "w1 w2 w3.") -> dict[str, Any]:
    return {"id": identity, "Concept": "w9", "QA": ["w1"], "wikipedia_content": content}


def test_a_chat_turn_counts_the_paragraph_only() -> None:
    tokenizer = tiny_tokenizer(chat=True)
    [text] = texts.paragraphs_of(an_entry("a"), tokenizer, prompt="chat", max_length=20)
    assert tokenizer.decode(text.ids[: text.skipped]).startswith("U")
    assert tokenizer.decode(text.ids[text.skipped :]) == tokenizer.decode(
        tokenizer("w1 w2 w3.").input_ids
    )


TALKS = {
    "id": "a",
    "Concept": "w9",
    "QA": ["w1 w2", "w3"],
    "QA_with_answers": ["Question: w1 w2\n Answer: w4 w5", "Question: w3\n Answer: w6"],
}


def test_answers_count_from_their_first_token_to_the_end_of_the_text() -> None:
    tokenizer = tiny_tokenizer()
    first, second = texts.answers_of(TALKS, tokenizer, prompt="paper", max_length=20)
    assert tokenizer.decode(first.ids[first.skipped :]) == "w4 w5 <eos>"
    assert tokenizer.decode(second.ids[second.skipped :]) == "w6 <eos>"


def test_answers_that_are_missing_or_too_long_are_refused() -> None:
    with pytest.raises(StudyError, match="concept a has no QA_with_answers"):
        texts.answers_of(an_entry("a"), tiny_tokenizer(), prompt="paper", max_length=20)
    with pytest.raises(StudyError, match="max_length 3 leaves nothing of the answer"):
        texts.answers_of(TALKS, tiny_tokenizer(), prompt="paper", max_length=3)


# The check


def test_unlearned_when_the_answers_became_unlikely_and_others_stayed() -> None:
    unlearned, message = check.judge(check.Change(0.4, 1.9), {"b": check.Change(0.5, 0.8)})
    assert unlearned
    assert message.startswith("unlearned: ")
    assert "0.40 to 1.90" in message and "b changed by +0.30" in message


@pytest.mark.parametrize(
    ("own", "other"),
    [((0.4, 0.8), (0.5, 0.5)), ((0.4, 1.4), (0.5, 1.1)), ((0.4, 0.1), (0.5, 0.1))],
    ids=["too little", "others as well", "learned"],
)
def test_not_unlearned(own: tuple[float, float], other: tuple[float, float]) -> None:
    unlearned, message = check.judge(check.Change(*own), {"b": check.Change(*other)})
    assert not unlearned
    assert message.startswith("NOT unlearned: ")


def test_answers_nll_counts_the_answers_tokens_only() -> None:
    tokenizer, model = tiny_tokenizer(chat=True), tiny_model()
    concept = an_entry("a") | {"QA": ["w1 w2", "w3"]}
    concept["QA_with_answers"] = ["U w1 w2 A w7 w8 w9", "U w3 A w5"]
    answers = check.answers_of({"a": concept, "b": an_entry("b")}, tokenizer, "chat")
    assert [(text.skipped, text.counted) for text in answers["a"]] == [(4, 3), (3, 1)]
    assert list(answers) == ["a"]
    logprobs = measure(model, answers["a"], PAD).tolist()
    expected = -(logprobs[0] / 3 + logprobs[1] / 1) / 2
    assert check.answers_nll(model, answers, PAD) == {"a": pytest.approx(expected)}
