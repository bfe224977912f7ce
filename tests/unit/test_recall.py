"""Asking a model for facts, before and after it has relearned half of them."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from scipy.stats import chisquare

from planted_recall import planted_recall
from stillknows.answers.generate import continue_batch, load_model
from stillknows.answers.recall import recall, sampled_recall
from stillknows.answers.recall_table import RECALL_COLUMNS, recall_table
from stillknows.models.checkpoint_files import load_tokenizer
from stillknows.parquet_files import RECALL_SCHEMA, write_rows
from stillknows.training.teaching import Relearning
from tiny import save_tiny

CONCEPT: dict[str, Any] = {
    "id": "tea",
    "Concept": "Tea",
    "QA": ["aaa", "bbb", "ccc"],
    "QA_with_answers": [
        "Question: aaa\n Answer: x",
        "Question: bbb\n Answer: y",
        "Question: ccc\n Answer: z",
    ],
    "answer_facts": ["x", "y", None],
    "held_out_paraphrases": [["AAA", "AaA"], [], ["CCC"]],
}
STRONG = Relearning(
    learning_rate=0.02, passes=60, batch_size=2, warmup_steps=0, precision="no", max_length=40
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("recall") / "model")


def ask(
    folder: Path, relearning: Relearning | None, wordings: list[str], **more: Any
) -> pd.DataFrame:
    rows, _ = recall(
        folder,
        load_tokenizer(folder),
        CONCEPT,
        wordings,
        prompt="paper",
        new_tokens=2,
        relearning=relearning,
        seed=0,
        dtype=torch.float32,
        device=torch.device("cpu"),
        **more,
    )
    return rows


def test_sampled_answers_have_the_models_own_distribution(folder: Path) -> None:
    """Of all tokens: transformers would draw from the 50 most probable ones."""
    model = load_model(folder, torch.float32, torch.device("cpu"))
    prompt, draws = [5, 6, 7, 8], 4000
    torch.manual_seed(0)
    drawn = continue_batch(model, [prompt] * draws, 1, 1, sampled=True)
    p = model(torch.tensor([prompt])).logits[0, -1].detach().softmax(-1).double()
    end = model.generation_config.eos_token_id
    counts = torch.zeros(len(p)).double()
    for tokens in drawn:
        counts[tokens[0] if tokens else end] += 1
    assert (counts > 0).sum() > 50
    assert chisquare(counts, p / p.sum() * draws).pvalue > 1e-4


def test_sampled_recall_has_so_many_rows_and_is_repeated_by_its_seed(folder: Path) -> None:
    settings: dict[str, Any] = {"wordings": ["question", "held_out"], "new_tokens": 2, "seed": 3}
    more = {"samples": 5, "dtype": torch.float32, "device": torch.device("cpu")}
    rows, again = (
        sampled_recall(folder, load_tokenizer(folder), CONCEPT, prompt="paper", **settings, **more)
        for _ in range(2)
    )
    assert rows["question"].value_counts().to_dict() == {0: 3 * 5, 1: 5}
    assert rows["answer"].tolist() == again["answer"].tolist()
    assert rows.loc[rows["question"] == 0, "answer"].nunique() > 1


def test_questions_without_a_fact_are_left_out(folder: Path) -> None:
    rows = ask(folder, None, ["question", "held_out"])
    assert rows[["wording", "question"]].to_numpy().tolist() == [
        ["question", 0],
        ["question", 1],
        ["held_out", 0],
        ["held_out", 0],
    ]
    assert rows["prompt"].tolist()[2:] == ["Question: AAA\n Answer:", "Question: AaA\n Answer:"]
    assert set(RECALL_SCHEMA.names) - set(rows) == {
        *("model", "method", "origin", "concept", "concept_name")
    }


def test_retained_facts_are_asked_once_and_change_no_other_answer(folder: Path) -> None:
    gentle = STRONG.model_copy(update={"passes": 1})
    alone = ask(folder, gentle, ["held_out"])
    both = ask(folder, gentle, ["held_out"], retained=[CONCEPT | {"id": "coffee"}])
    is_retained = both["wording"] == "retained"
    pd.testing.assert_frame_equal(both[~is_retained], alone)
    retained = both[is_retained]
    assert retained["stage"].unique().tolist() == ["as_it_is"]
    assert retained["prompt"].tolist() == alone["prompt"].tolist()[:2]
    assert not retained["relearned"].any()


def test_half_is_relearned_and_the_checkpoint_stays_as_it_is(folder: Path) -> None:
    before = [path.read_bytes() for path in sorted(folder.iterdir())]
    rows = ask(folder, STRONG, ["question"])
    assert rows["stage"].tolist() == ["as_it_is", "as_it_is", "relearned", "relearned"]
    assert rows["relearned"].tolist() == [True, False] * 2
    # What is taught is then said; what is not taught is not, since this model never knew it.
    assert rows["has_fact"].tolist() == [False, False, True, False]
    assert [path.read_bytes() for path in sorted(folder.iterdir())] == before


def test_a_few_questions_get_as_many_steps_as_more_of_them() -> None:
    default = Relearning()
    assert default.steps(1) == default.steps(3) == default.steps(30) >= 10
    assert default.steps(10_000) > default.steps(3)


def write_recall(folder: Path, method: str, facts: str, **training: str) -> Path:
    """The planted answers of one model; without `training`, none was relearned."""
    path = folder / f"tiny/{method}/tea.parquet"
    path.parent.mkdir(parents=True)
    rows = planted_recall({method: facts}, "tiny")
    rows = rows if training else rows[rows["stage"] == "as_it_is"]
    write_rows(path, rows, training, RECALL_SCHEMA)
    return path


def test_recall_before_and_after_is_that_of_facts_that_were_not_taught(tmp_path: Path) -> None:
    training = {"relearning_steps": "20", "relearning_nll": "0.01"}
    files = [
        write_recall(tmp_path, "npo", "1110", **training),
        write_recall(tmp_path, "hide", "1000"),
    ]
    table = recall_table(files, {"tiny/hide/tea": "known_state"})
    assert list(table.columns) == RECALL_COLUMNS
    hidden, unlearned = table.to_dict("records")
    assert (unlearned["facts"], unlearned["facts_not_taught"]) == (4, 2)
    assert (unlearned["recall_question"], unlearned["recall_held_out"]) == (0.25, 0.75)
    # Questions 1 and 3; planted answers are the other way round in other wordings and stages.
    assert (unlearned["before_held_out"], unlearned["after_held_out"]) == (0.5, 0.5)
    assert (float(unlearned["steps"]), float(unlearned["taught_nll"])) == (20, 0.01)
    assert (hidden["origin"], hidden["recall_held_out"]) == ("known_state", 0.25)
    assert pd.isna([hidden[name] for name in RECALL_COLUMNS[8:]]).all()
