"""Asking a model for facts, before and after it has relearned half of them."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from dissect.recall.measure import recall
from dissect.recall.schema import RECALL_SCHEMA
from dissect.recall.settings import Relearning
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
    return recall(
        folder,
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


def test_two_runs_give_the_same_answers(folder: Path) -> None:
    gentle = STRONG.model_copy(update={"passes": 2})
    assert ask(folder, gentle, ["question"]).equals(ask(folder, gentle, ["question"]))
