"""The table of answers: a model's own, with their similarity to the original's.

BLEU and ROUGE-L, 0 to 1, are what the authors' ConceptVectors benchmark measures behaviour by. They
compare with the original model's own answer, not with the truth
(docs/explanation/controls-answers-weights.md: where we differ).
"""

import logging
import math
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu
from rouge_score.rouge_scorer import RougeScorer

from stillknows.parquet_files import ORIGINAL_SCHEMA, read_table

log = logging.getLogger("stillknows")
_SMOOTHING = SmoothingFunction().method3
_ROUGE = RougeScorer(["rougeL"])


def answer_rows(
    prompts: pd.DataFrame, answers: Sequence[str], original_answers: Path
) -> pd.DataFrame:
    """The columns of ANSWER_SCHEMA from `set` on, a row per prompt; nothing is patched.

    Args:
        prompts: what prompts.concept_prompts returns.
        answers: the model's, in their order.
        original_answers: the original's answers to the same prompts, of ORIGINAL_SCHEMA.
    """
    rows = read_table(original_answers, ORIGINAL_SCHEMA).to_pylist()
    by_prompt = {(row["set"], row["question"]): row["answer"] for row in rows}
    originals = [by_prompt[key] for key in zip(prompts["set"], prompts["question"], strict=True)]
    pairs = list(zip(originals, answers, strict=True))
    return prompts.drop(columns="ids").assign(
        **dict.fromkeys(("experiment", "first_layer", "last_layer")),
        answer_original=originals,
        answer=answers,
        bleu=[bleu(*pair) for pair in pairs],
        rouge_l=[rouge_l(*pair) for pair in pairs],
    )


def bleu(original: str, answer: str) -> float:
    """nltk's sentence_bleu of up to 4 words in a row, whitespace tokens, smoothing method 3.

    NaN where the original's answer is empty: there is nothing to be like. 0 where only the answer
    is empty. Under four words even the same text stays below 1.
    """
    if not original.split():
        return math.nan
    return float(sentence_bleu([original.split()], answer.split(), smoothing_function=_SMOOTHING))


def rouge_l(original: str, answer: str) -> float:
    """The F-measure of the longest common subsequence of words: rouge-score, without stemming.

    Its words are runs of a-z and 0-9, in lower case: it is blind to other scripts.
    NaN where the original's answer has no word; 0 where only the answer has none.
    """
    score = _ROUGE.score(original, answer)["rougeL"]
    if not _ROUGE.score(original, original)["rougeL"].fmeasure:
        return math.nan
    return float(score.fmeasure)


def log_similarity(rows: pd.DataFrame) -> None:
    """Log how similar the answers are to the original's, per set and patch."""
    patch = ["experiment", "first_layer", "last_layer"]
    scores = rows.groupby(["set", *patch], dropna=False, sort=False)["rouge_l"]
    means = scores.agg(["mean", "count", "size"]).round(3)
    log.info("mean ROUGE-L of the answers:\n%s", means.reset_index().to_string(index=False))
