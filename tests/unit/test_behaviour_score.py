"""BLEU and ROUGE-L: against the libraries and against counts by hand."""

import math

import pytest
from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu
from rouge_score.rouge_scorer import RougeScorer

from stillknows.answers.answer_table import bleu, rouge_l

ORIGINAL = "The author of the series is J.K. Rowling, a British writer."
ANSWERS = [
    ORIGINAL,
    "The author of the series is a British writer.",
    "the Author is J.K. Rowling,",
    "I do not know the author of that.",
    "Bananas",
    "series series series series series",
]


@pytest.mark.parametrize("answer", ANSWERS)
def test_scores_are_the_libraries(answer: str) -> None:
    smoothing = SmoothingFunction().method3
    expected = sentence_bleu([ORIGINAL.split()], answer.split(), smoothing_function=smoothing)
    assert bleu(ORIGINAL, answer) == expected
    found = RougeScorer(["rougeL"], use_stemmer=False).score(ORIGINAL, answer)["rougeL"].fmeasure
    assert rouge_l(ORIGINAL, answer) == found


def test_bleu_by_hand() -> None:
    # Of 4 words 3 are there, of 3 pairs 2, of 2 triples 1, of 1 quadruple none: smoothed to 1/2.
    expected = (3 / 4 * 2 / 3 * 1 / 2 * 1 / 2) ** (1 / 4)
    assert bleu("a b c d", "a b c e") == pytest.approx(expected)
    # Shorter than the original by one word: times exp(1 - 5/4).
    assert bleu("a b c d e", "a b c d") == pytest.approx(math.exp(1 - 5 / 4))
    assert bleu("Tea, hot", "tea hot") < bleu("Tea, hot", "Tea, hot") < 1  # under four words


def test_rouge_l_by_hand() -> None:
    # The longest common subsequence is a c d: precision 3/3, recall 3/5.
    assert rouge_l("a b c d e", "a c d") == pytest.approx(2 * 1 * 0.6 / 1.6)
    assert rouge_l("Tea, hot", "tea hot") == 1


def test_the_original_is_the_reference() -> None:
    """Exchanged, BLEU would punish the longer text instead of the shorter one."""
    assert bleu("a b c d e f", "a b c d") < bleu("a b c d", "a b c d") == pytest.approx(1)
    assert bleu("a b c d e f", "a b c d") != bleu("a b c d", "a b c d e f")


def test_nothing_is_like_an_empty_answer_of_the_original() -> None:
    assert math.isnan(bleu(" \n", "words")) and math.isnan(rouge_l(" \n", "words"))
    assert math.isnan(rouge_l("...", "..."))
    assert bleu("some words", "") == 0 and rouge_l("some words", "") == 0
