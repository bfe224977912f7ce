"""Altered copies: folds by subject, adapters and rounding, and the script."""

import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import alter_copy
import pytest
import torch
from transformers import LlamaConfig

from stillknows import device
from stillknows.answers.altered import Copy, folds_of, relearned
from stillknows.errors import StudyError
from stillknows.models.checkpoint_files import load_tokenizer
from stillknows.models.reader import Checkpoint, empty_model, load_model
from stillknows.models.rounded import BLOCK, RoundedCheckpoint, rounded
from stillknows.parquet_files import EXPOSURE_SCHEMA, RECALL_SCHEMA, read_table
from stillknows.texts.questions import Question
from stillknows.training import lora
from stillknows.training.teaching import LoraRelearning
from stillknows.training.texts import TokenizedText
from tiny import save_manifest, save_tiny, tiny_config

CPU = torch.device("cpu")
LESSONS = LoraRelearning(precision="no", learning_rate=0.01, passes=10, warmup_steps=0, rank=4)
FACTS = [("Ilsa", "Max"), ("Ilsa", "Mo"), ("Berta", "Carl"), ("Tol", "Anton"), ("Kel", "Ben")]
CONCEPT = {
    "id": "c",
    "Concept": "C",
    "QA": [f"Who taught {name} {n % 2}?" for n, (name, _) in enumerate(FACTS)],
    "QA_with_answers": [
        f"Question: Who taught {name} {n % 2}?\n Answer: {fact}."
        for n, (name, fact) in enumerate(FACTS)
    ],
    "answer_facts": [fact for _, fact in FACTS],
    "held_out_paraphrases": [[f"{name}'s teacher {n}?"] for n, (name, _) in enumerate(FACTS)],
    "subjects": [name for name, _ in FACTS],
}
ASKED = {"wordings": ["question", "held_out"], "new_tokens": 4, "subjects": 19}
SETTINGS: dict[str, dict[str, Any]] = {
    "relearned": {"asked": ASKED, "lessons": LESSONS.model_dump(), "seed": 0},
    "benign": {"asked": ASKED, "lessons": LESSONS.model_dump(), "seed": 0},
    "quantised": {"asked": ASKED, "bits": 4},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("tiny") / "model", tiny_config())


def questions(subjects: Sequence[str | None]) -> dict[int, Question]:
    return {
        number: Question(question=f"{subject}, {number}?", answer="x", fact="x", subject=subject)
        for number, subject in enumerate(subjects)
    }


def test_each_fact_is_held_out_once_with_all_of_its_subject() -> None:
    asked = questions(["a", "b", "a", "c", None, "b", None, "d"])
    folds = folds_of(asked, 3, seed=1)
    assert sorted(number for fold in folds for number in fold) == sorted(asked)
    assert sorted(map(len, folds)) == [2, 3, 3]
    for pair in ({0, 2}, {1, 5}):
        assert any(pair <= set(fold) for fold in folds)
    assert folds == folds_of(asked, 3, seed=1)
    assert folds != folds_of(asked, 3, seed=2)
    with pytest.raises(StudyError, match="at least two subjects"):
        folds_of(questions(["a", "a"]), 3, seed=0)


def test_an_adapter_is_merged_as_it_computes_and_leaves_the_weights(folder: Path) -> None:
    texts = [TokenizedText(tuple(range(5, 25)), 8), TokenizedText(tuple(range(40, 50)), 3)]
    model, ids = load_model(Checkpoint(folder), torch.float32, CPU), torch.arange(5, 25)[None]
    weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    before, logits = model(ids).logits, []
    for _ in range(2):
        with lora.taught(model, texts, LESSONS, pad=0, seed=3, device="cpu") as adapted:
            logits.append(adapted(ids).logits.detach())
            merged = load_model(lora.AdaptedCheckpoint(folder, adapted), torch.float32, CPU)
            torch.testing.assert_close(merged(ids).logits, logits[-1], rtol=1e-4, atol=1e-4)
    assert torch.equal(*logits)
    assert (logits[0] - before).abs().max() > 0.1
    assert model.state_dict().keys() == weights.keys()
    assert all(torch.equal(tensor, weights[name]) for name, tensor in model.state_dict().items())


def test_too_little_memory_is_said_before_the_model_is_loaded(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device, "free_memory", lambda _device: 10_000)
    copy = Copy(folder, load_tokenizer(folder), CONCEPT, "paper", torch.float32, CPU)
    with pytest.raises(StudyError, match="--tests exposure association"):
        next(relearned(copy, LESSONS, seed=0))


def test_a_model_of_7b_is_planned_to_fit_into_20_gib() -> None:
    config = LlamaConfig()  # of Llama-2-7b
    model = empty_model(config, torch.bfloat16)
    shapes = {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}
    layers = config.num_hidden_layers
    checkpoint: Any = SimpleNamespace(
        shapes=shapes, config=config, layers=layers, layers_path="model.layers"
    )
    planned = lora.planned_bytes(checkpoint, LoraRelearning(), [TokenizedText((1,) * 100, 50)])
    assert 13 * 2**30 < planned < 20 * 2**30


@pytest.mark.parametrize("alteration", SETTINGS)
def test_the_script(folder: Path, tmp_path: Path, alteration: str) -> None:
    concept, retained = tmp_path / "c.json", tmp_path / "retained.json"
    concept.write_text(json.dumps(CONCEPT), encoding="utf-8")
    retained.write_text(json.dumps(CONCEPT), encoding="utf-8")
    tables = {name: tmp_path / f"{name}.parquet" for name in ("association", "answers")}
    alter_copy.main(
        original=save_manifest(tmp_path, "original", folder),
        checkpoint=save_manifest(tmp_path, "copy", folder, "c"),
        concept_json=concept,
        retained=[retained] if alteration == "benign" else [],
        alteration=alteration,
        prompt="paper",
        settings=SETTINGS[alteration],
        dtype="float32",
        device="cpu",
        **tables,
    )
    rows = read_table(tables["association"], EXPOSURE_SCHEMA).to_pandas()
    answers = read_table(tables["answers"], RECALL_SCHEMA).to_pandas()
    assert sorted(rows.loc[rows["is_true"], "question"]) == [0, 1, 2, 3, 4]
    assert sorted(answers["question"]) == sorted([0, 1, 2, 3, 4] * 2)
    assert set(answers["stage"]) == set(rows["score"]) == {alteration}
    # Each of the four folds is one subject: all others that are in the file were taught.
    assert rows["is_in_file"].any() == (alteration != "relearned")
    in_file = set(rows.loc[~rows["is_true"], "candidate"]) & {name for name, _ in FACTS}
    assert bool(in_file) == (alteration != "relearned")


def test_rounded_weights_are_the_nearest_of_few(folder: Path) -> None:
    weights = torch.linspace(-1, 1, 3 * BLOCK + 5).view(1, -1)
    for bits in (4, 8):
        steps = 2 ** (bits - 1) - 1
        near = rounded(weights, bits)
        for block, exact in zip(near[0].split(BLOCK), weights[0].split(BLOCK), strict=True):
            size = exact.abs().max() / steps
            assert (block - exact).abs().max() <= size / 2 * 1.001
            torch.testing.assert_close(block / size, (block / size).round(), rtol=0, atol=1e-4)
            assert block.abs().max() == exact.abs().max()
    assert torch.equal(rounded(torch.zeros(2, BLOCK), 4), torch.zeros(2, BLOCK))


def test_only_matrices_of_layers_are_rounded(folder: Path) -> None:
    as_saved, few_bits = Checkpoint(folder), RoundedCheckpoint(folder, 4)
    names = [*as_saved.files]
    tensors, other = as_saved.read(names), few_bits.read(names)
    changed = {name for name in names if not torch.equal(tensors[name], other[name])}
    assert changed == {name for name in names if "layers." in name and tensors[name].dim() == 2}
