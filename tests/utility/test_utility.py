"""Utility: a task of one's own, by lm-evaluation-harness, in a small study."""

import json
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml
from transformers import AutoModelForCausalLM, AutoTokenizer

from stillknows.csv_files import read_csv

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow"))
from tiny_study import Workflow, make

from tiny import save_tiny

ROWS = [("tiny", "original", "", "path:own/original"), ("tiny", "dpo", "tea", "path:own/dpo_tea")]
ITEMS = [
    {"question": f"{thing} is", "choices": ["hot", "cold", "old"], "answer": number % 3}
    for number, thing in enumerate(["Tea", "Ice", "Stone", "Soup", "Snow", "Gold", "Fire", "Sea"])
]
TASK = {
    "task": "tiny_choices",
    "dataset_path": "json",
    "test_split": "test",
    "output_type": "multiple_choice",
    "doc_to_text": "{{question}}",
    "doc_to_choice": "choices",
    "doc_to_target": "answer",
    "metric_list": [{"metric": "acc"}],
    "metadata": {"version": 3},
}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Workflow:
    workflow = make(tmp_path_factory.mktemp("utility"))
    original = save_tiny(workflow.root / "own/original")
    save_tiny(workflow.root / "own/dpo_tea", near=original, seed=1, by=0.2)
    workflow.write_table(ROWS)
    folder = workflow.root / "tasks"
    folder.mkdir()
    data = folder / "items.jsonl"
    data.write_text("".join(json.dumps(item) + "\n" for item in ITEMS), encoding="utf-8")
    task = TASK | {"dataset_kwargs": {"data_files": {"test": str(data)}}}
    (folder / "tiny_choices.yaml").write_text(yaml.safe_dump(task), encoding="utf-8")
    return workflow


def utility(*tasks: str, **more: object) -> dict[str, object]:
    return {
        "concepts": {"tiny": ["tea"]},
        "utility": {"tasks": [*tasks], "task_folder": "tasks", **more},
    }


def accuracy(folder: Path) -> float:
    """The share of items of which the right choice has the highest log-probability."""
    model, tokenizer = (
        kind.from_pretrained(folder) for kind in (AutoModelForCausalLM, AutoTokenizer)
    )
    right = 0
    for item in ITEMS:
        scores = []
        for choice in item["choices"]:
            start = tokenizer(item["question"]).input_ids
            ids = tokenizer(f"{item['question']} {choice}").input_ids
            with torch.inference_mode():
                log_probs = model(torch.tensor([ids])).logits[0].log_softmax(-1)
            places = range(len(start), len(ids))
            scores.append(sum(float(log_probs[place - 1, ids[place]]) for place in places))
        right += scores.index(max(scores)) == item["answer"]
    return right / len(ITEMS)


def test_a_copy_beside_the_original(study: Workflow) -> None:
    study.write_config(**utility("tiny_choices"))
    run = study.run("results/tiny/tables/utility.csv")
    assert run.status == 0, run.output
    table = read_csv(study.result("tables/utility.csv")).set_index("method")
    assert set(table["metric"]) == {"acc"}
    for method, folder in (("original", "original"), ("dpo", "dpo_tea")):
        row = table.loc[method]
        assert row["value"] == pytest.approx(accuracy(study.root / "own" / folder))
        assert (row["items"], row["version"], row["is_named"]) == (len(ITEMS), 3, True)
    copy = table.loc["dpo"]
    assert copy["original"] == table.loc["original", "value"]
    assert copy["difference"] == copy["value"] - copy["original"]
    assert pd.isna(table.loc["original", "original"])
    assert study.run("--dry-run", "results/tiny/tables/utility.csv").jobs == {}


def test_a_limit_computes_it_again(study: Workflow) -> None:
    study.write_config(**utility("tiny_choices", limit=2))
    assert study.run("--dry-run", "results/tiny/tables/utility.csv").jobs == {
        "measure_utility": 2,
        "collect_utility": 1,
    }


def test_an_unknown_task_is_one_line(study: Workflow) -> None:
    study.write_config(**utility("tiny_choice"))
    run = study.run("results/tiny/tables/utility.csv")
    assert run.status != 0
    assert "utility.tasks: tiny_choice is not among" in run.output
    assert "Traceback" not in run.output
