"""Answers to questions for facts that say what they answer, for the tests of the report."""

from collections.abc import Mapping
from itertools import product

import pandas as pd

from stillknows.answers.recall_settings import HELD_OUT, QUESTION
from stillknows.terms import AS_IT_IS, RELEARNED

# Of each question, with the wording that it is asked in.
ASKED = [(QUESTION, "question"), (HELD_OUT, "first"), (HELD_OUT, "second")]


def prompt_of(number: int, wording: str) -> str:
    """The question in a wording."""
    return f"Ask {number} as {wording}."


def answer_of(method: str, number: int, stage: str = AS_IT_IS, wording: str = "first") -> str:
    """What a planted model answers."""
    return f"{method}, {number}, {stage}, {wording}"


def planted_recall(known: Mapping[str, str], model: str, concept: str = "tea") -> pd.DataFrame:
    """Rows of RECALL_SCHEMA; in every other stage and wording, exactly the other answers have it.

    Args:
        known: method -> of each question 1 or 0: whether the answers to held-out wordings have the
            fact before relearning.
    """
    rows = [
        {"model": model, "method": method, "origin": "own", "concept": concept}
        | {"concept_name": concept, "stage": stage, "wording": kind, "question": number}
        | {"relearned": number % 2 == 0, "prompt": f"Q: {prompt_of(number, wording)}\n A:"}
        | {"fact": f"fact {number}", "answer": answer_of(method, number, stage, wording)}
        | {"has_fact": (has_fact == "1") == ((stage, kind) == (AS_IT_IS, HELD_OUT))}
        for method, facts in known.items()
        for stage, (kind, wording) in product((AS_IT_IS, RELEARNED), ASKED)
        for number, has_fact in enumerate(facts)
    ]
    return pd.DataFrame(rows)
