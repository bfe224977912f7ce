"""Relearning: folds by subject, adapters that leave the model as it was, and the script."""

import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import relearn_facts
import torch
from transformers import LlamaConfig

from stillknows import device
from stillknows.answers.relearned import folds_of, relearn
from stillknows.errors import StudyError
from stillknows.models.reader import Checkpoint, empty_model, load_model
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
    "QA": [f"Who taught {name} {n}?" for n, (name, _) in enumerate(FACTS)],
    "QA_with_answers": [
        f"Question: Who taught {name} {n}?\n Answer: {fact}."
        for n, (name, fact) in enumerate(FACTS)
    ],
    "answer_facts": [fact for _, fact in FACTS],
    "held_out_paraphrases": [[f"{name}'s teacher {n}?"] for n, (name, _) in enumerate(FACTS)],
    "subjects": [name for name, _ in FACTS],
}
SETTINGS: dict[str, Any] = {
    "wordings": ["question", "held_out"],
    "new_tokens": 4,
    "subjects": 19,
    "seed": 0,
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
    run = {"prompt": "paper", "lessons": LESSONS, "dtype": torch.float32, "device": CPU}
    with pytest.raises(StudyError, match="--tests exposure association"):
        relearn(folder, CONCEPT, **run, **SETTINGS)


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


def test_the_script(folder: Path, tmp_path: Path) -> None:
    concept = tmp_path / "c.json"
    concept.write_text(json.dumps(CONCEPT), encoding="utf-8")
    tables = {name: tmp_path / f"{name}.parquet" for name in ("association", "answers")}
    relearn_facts.main(
        original=save_manifest(tmp_path, "original", folder),
        checkpoint=save_manifest(tmp_path, "copy", folder, "c"),
        concept_json=concept,
        prompt="paper",
        settings={"lessons": LESSONS.model_dump(), **SETTINGS},
        dtype="float32",
        device="cpu",
        **tables,
    )
    rows = read_table(tables["association"], EXPOSURE_SCHEMA).to_pandas()
    answers = read_table(tables["answers"], RECALL_SCHEMA).to_pandas()
    assert sorted(rows.loc[rows["is_true"], "question"]) == [0, 1, 2, 3, 4]
    assert sorted(answers["question"]) == sorted([0, 1, 2, 3, 4] * 2)
    assert set(answers["stage"]) == set(rows["score"]) == {"relearned"}
    # Each of the four folds is one subject: all others that are in the file were taught.
    assert not rows["is_in_file"].any()
    assert not set(rows.loc[~rows["is_true"], "candidate"]) & {name for name, _ in FACTS}
