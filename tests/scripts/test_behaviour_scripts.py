"""From two tiny checkpoints to the answers, their tables and figures: the scripts in a row."""

import json
from pathlib import Path
from typing import Any

import answer_patched
import answer_prompts
import pytest
import summarise

from stillknows.analysis.collect import collect_answers
from stillknows.parquet_files import read_table
from tiny import save_manifest, save_tiny, tiny_concept

HOW: dict[str, Any] = {"prompt": "paper", "new_tokens": 6, "dtype": "float32", "device": "cpu"}
WINDOWS, EXPERIMENTS = ["0-1", "0-5"], ["attention", "value_vectors"]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results folder, in which all scripts up to the tables have run."""
    root = tmp_path_factory.mktemp("behaviour")
    folder = save_tiny(root / "own/original")
    original = save_manifest(root, "original", folder)
    unlearned = save_manifest(root, "dpo", save_tiny(root / "own/dpo", near=folder, seed=1), "tea")
    concept = root / "tea.json"
    completion = [{"First_half": "Tea is", "Second_half": " hot."}]
    # No unrelated questions: that set is left out.
    concept.write_text(json.dumps(tiny_concept("tea", 2) | {"text_completion": completion}))
    sets = ["target", "completion", "unrelated"]
    behaviour = root / "behaviour/tiny"
    first = behaviour / "original/tea.parquet"
    asked = {"original": original, "concept_json": concept, **HOW}
    answer_prompts.main(sets=sets, answers=first, **asked)
    shared = {"unlearned": unlearned, "original_answers": first, **asked}
    answer_prompts.main(sets=sets, answers=behaviour / "dpo/tea.parquet", **shared)
    answer_patched.main(
        sets=["target"],
        windows=WINDOWS,
        experiments=EXPERIMENTS,
        answers=behaviour / "dpo/tea.patched.parquet",
        **shared,
    )
    tables = root / "tables"
    collect_answers(sorted((behaviour / "dpo").iterdir()), tables / "answers.parquet")
    summarise.main(source=tables / "answers.parquet", seed=0, tables=[tables / "behaviour.csv"])
    return root


def test_every_question_has_its_rows(study: Path) -> None:
    rows = read_table(study / "tables/answers.parquet").to_pylist()
    plain = [row for row in rows if row["experiment"] is None]
    assert [(row["set"], row["question"]) for row in plain] == [
        ("target", 0),
        ("target", 1),
        ("completion", 0),
    ]
    patched = {(r["experiment"], r["first_layer"], r["last_layer"], r["question"]) for r in rows}
    assert patched - {(None, None, None, n) for n in (0, 1)} == {
        (experiment, first, last, question)
        for experiment in EXPERIMENTS
        for first, last in ((0, 1), (0, 5))
        for question in (0, 1)
    }
    assert all(row["origin"] == "own" and row["prompt"].strip() for row in rows)
    assert all(0 <= row["rouge_l"] <= 1 for row in rows if row["rouge_l"] is not None)


def test_the_original_compared_with_itself_scores_1(study: Path, tmp_path: Path) -> None:
    manifest = study / "original.json"
    out = tmp_path / "self.parquet"
    answer_prompts.main(
        original=manifest,
        unlearned=manifest,
        original_answers=study / "behaviour/tiny/original/tea.parquet",
        concept_json=study / "tea.json",
        sets=["target", "completion"],
        answers=out,
        **HOW,
    )
    rows = read_table(out).to_pylist()
    assert [row["answer"] for row in rows] == [row["answer_original"] for row in rows]
    assert all(row["rouge_l"] in (1.0, None) for row in rows)
