"""How many answers still contain the fact that was asked for, by string match.

python -m stillknows.analysis.facts RESULTS FACTS prints the counts as CSV.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import pandas as pd
from pydantic import Field, TypeAdapter, ValidationError

from stillknows.errors import StudyError
from stillknows.files import read_users_json
from stillknows.parquet_files import ANSWER_SCHEMA, read_table
from stillknows.terms import TARGET
from stillknows.texts.fact_matching import mentions_fact

Facts = dict[str, dict[str, Annotated[list[str], Field(min_length=1)]]]
"""Concept id -> question -> the strings of which one must be in the answer."""

_LAYERS = ["first_layer", "last_layer"]
_NAMES = ["model", "method", "origin", "concept", "experiment"]
FACT_COLUMNS = [*_NAMES, *_LAYERS, "questions", "original", "kept"]


def read_facts(path: Path) -> Facts:
    """Read a JSON object of concepts, each an object of its questions; else a StudyError."""
    try:
        return TypeAdapter(Facts).validate_python(read_users_json(path))
    except ValidationError as error:
        raise StudyError(
            f"facts file {path} must be a JSON object of concepts, each an object of its "
            "questions, each with a list of the strings that are accepted: "
            f"{error.errors()[0]['msg']}"
        ) from error


def contains(answer: str, accepted: Sequence[str]) -> bool:
    return any(mentions_fact(answer, fact) for fact in accepted)


def facts_kept(answers: pd.DataFrame, facts: Facts) -> pd.DataFrame:
    """FACT_COLUMNS: how many answers to the concept's own questions have the fact, per patch.

    A StudyError if a question of the file of facts is not the one that was asked.
    """
    rows = answers[(answers["set"] == TARGET) & answers["concept"].isin(list(facts))]
    rows = rows.astype(dict.fromkeys(_NAMES, object) | dict.fromkeys(_LAYERS, "Int64"))
    accepted = []
    for concept, number, prompt in rows[["concept", "question", "prompt"]].itertuples(index=False):
        question, strings = dict(enumerate(facts[concept].items())).get(number, ("", []))
        if not question or question not in prompt:
            raise StudyError(
                f"question {number} (from 0) of {concept} in the facts file is not the one that "
                "was asked; list the concept's questions as in the concept file"
            )
        accepted.append(strings)
    rows = rows.assign(
        original=list(map(contains, rows["answer_original"], accepted)),
        kept=list(map(contains, rows["answer"], accepted)),
    )
    counts: pd.DataFrame = rows.groupby([*_NAMES, *_LAYERS], dropna=False, sort=True).agg(
        questions=("kept", "size"), original=("original", "sum"), kept=("kept", "sum")
    )
    return counts.reset_index()


def main() -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m stillknows.analysis.facts", description=__doc__
    )
    parser.add_argument("results", type=Path, metavar="RESULTS", help="a results folder")
    parser.add_argument(
        "facts", type=Path, metavar="FACTS", help="a facts file (pretrained/facts.json)"
    )
    arguments = parser.parse_args()
    try:
        path = arguments.results / "tables" / "answers.parquet"
        answers = read_table(path, ANSWER_SCHEMA).to_pandas()
        facts_kept(answers, read_facts(arguments.facts)).to_csv(sys.stdout, index=False)
    except StudyError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
