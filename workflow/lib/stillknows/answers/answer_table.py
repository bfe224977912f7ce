"""The table of answers (parquet_files.py): a model's answers, scored against the original's."""

import logging
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from stillknows.answers.prompts import Prompt
from stillknows.answers.similarity import bleu, rouge_l
from stillknows.parquet_files import ORIGINAL_SCHEMA, read_table

log = logging.getLogger("stillknows")


def answer_rows(
    prompts: Sequence[Prompt], answers: Sequence[str], original_answers: Path
) -> pd.DataFrame:
    """The columns of ANSWER_SCHEMA from `set` on, a row per prompt; nothing is patched.

    Args:
        answers: the model's, in the order of `prompts`.
        original_answers: the original's answers to the same prompts, of ORIGINAL_SCHEMA.
    """
    rows = read_table(original_answers, ORIGINAL_SCHEMA).to_pylist()
    by_prompt = {(row["set"], row["question"]): row["answer"] for row in rows}
    originals = [by_prompt[prompt.set, prompt.question] for prompt in prompts]
    pairs = list(zip(originals, answers, strict=True))
    return pd.DataFrame(
        {
            "set": [prompt.set for prompt in prompts],
            "question": [prompt.question for prompt in prompts],
            "prompt": [prompt.prompt for prompt in prompts],
            **dict.fromkeys(("experiment", "first_layer", "last_layer")),
            "answer_original": originals,
            "answer": answers,
            "bleu": [bleu(*pair) for pair in pairs],
            "rouge_l": [rouge_l(*pair) for pair in pairs],
        }
    )


def log_similarity(rows: pd.DataFrame) -> None:
    """Log how similar the answers are to the original's, per set and patch."""
    group = ["set", "experiment", "first_layer", "last_layer"]
    for key, scores in rows.groupby(group, dropna=False, sort=False)["rouge_l"]:
        name, experiment, first, last = key
        patched = isinstance(experiment, str)
        patch = f", {experiment} at layers {first} to {last}" if patched else ""
        log.info(
            f"{name}{patch}: mean ROUGE-L {scores.mean():.3f} over {scores.count()} of "
            f"{len(scores)} questions"
        )
