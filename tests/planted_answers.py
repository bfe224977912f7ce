"""Rows of answers with planted scores, for the tests of tables, figures and the report."""

from typing import Any


def planted_answer(**more: Any) -> dict[str, Any]:
    """A row of tables/answers.parquet.

    Args:
        more: other columns' values.
    """
    row = {"model": "tiny", "origin": "own", "method": "dpo", "concept": "tea"}
    row |= {"concept_name": "Tea", "set": "target", "question": 0, "prompt": "Why?"}
    row |= dict.fromkeys(("experiment", "first_layer", "last_layer"))
    return row | {"answer_original": "So.", "answer": "No.", "bleu": 0.1, "rouge_l": 0.1} | more


def planted_behaviour(rouge_l: float, **more: Any) -> dict[str, Any]:
    """A row of tables/behaviour.csv, whose BLEU is half of its ROUGE-L."""
    row = {"model": "tiny", "origin": "own", "method": "dpo", "concept": "tea"}
    row |= {"concept_name": "Tea", "set": "target", "experiment": "", "questions": 4}
    row |= dict.fromkeys(("first_layer", "last_layer"), float("nan"))
    return row | {"bleu": rouge_l / 2, "rouge_l": rouge_l} | more
