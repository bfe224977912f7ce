"""How like the original's an answer is: BLEU and ROUGE-L, from 0 to 1.

As the paper's sister benchmark measures behaviour (ConceptVectors): the reference is the original
model's own answer, not the truth (docs/explanation/controls-answers-weights.md: where we differ).
"""

import math

from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu
from rouge_score.rouge_scorer import RougeScorer

_SMOOTHING = SmoothingFunction().method3
_ROUGE = RougeScorer(["rougeL"])


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
