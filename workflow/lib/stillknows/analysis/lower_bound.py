"""How many of n null hypotheses are false: a lower confidence bound by closed testing.

Goeman and Solari 2011 (Multiple testing for exploratory research, Statistical Science 26): any set
of hypotheses is tested as a whole, and the bound, and which hypotheses are rejected by themselves,
hold together with probability 1 - alpha whenever the test of the set of all true nulls is valid.

That test is the truncated product of p-values (Zaykin et al. 2002, Genetic Epidemiology 22), those
of at most TRUNCATION: it counts how many are small, and how small they are. The p-values of one
subject may depend on each other. So the mean of their scores counts as the score of one p-value.
This is exact for one independent p-value per subject, and found valid by simulation for correlated
and for opposed facts of one subject (benchmarks/lower_bound.py).
"""

from collections.abc import Hashable, Sequence

import numpy as np
from scipy.stats import binom, chi2

TRUNCATION = 0.1
Numbers = Sequence[float] | np.ndarray


def false_nulls(p: Numbers, subjects: Sequence[Hashable] | None = None, alpha: float = 0.05) -> int:
    """At least so many of the null hypotheses are false, with a confidence of 1 - alpha.

    No set of true nulls is larger than the largest one that the test does not reject.

    Args:
        subjects: per p-value, whose it is. None: all are independent.

    Raises:
        ValueError: for a p-value that is not in [0, 1], or is no number.
    """
    sizes, _ = np.nonzero(_unrejected(list(_by_subject(p, subjects).values()), alpha))
    return len(p) - int(sizes.max())


def false_one_by_one(
    p: Numbers, subjects: Sequence[Hashable] | None = None, alpha: float = 0.05
) -> list[bool]:
    """Which null hypotheses are false by themselves: each set that has it is rejected.

    One of them or more is a true null with a probability of at most alpha. They are never more than
    `false_nulls`. Arguments and errors are those of `false_nulls`.
    """
    groups = _by_subject(p, subjects)
    own = range(len(p)) if subjects is None else subjects

    def is_false(value: float, subject: Hashable) -> bool:
        others = [scores for name, scores in groups.items() if name != subject]
        return not _unrejected(others, alpha, groups[subject], float(_scores(value))).any()

    return [
        bool(value <= alpha and is_false(value, subject))
        for value, subject in zip(p, own, strict=True)
    ]


def _scores(p: np.ndarray | float) -> np.ndarray:
    """0 for p-values that are not small; a chi-squared variable of two degrees for the others."""
    scores: np.ndarray = -2 * np.log(np.clip(np.divide(p, TRUNCATION), 1e-300, 1))
    return scores


def _by_subject(p: Numbers, subjects: Sequence[Hashable] | None) -> dict[Hashable, np.ndarray]:
    """The scores of each subject's p-values, from the smallest score on."""
    values = np.asarray(p, float)
    if not ((values >= 0) & (values <= 1)).all():
        raise ValueError("p-values must be numbers from 0 to 1")
    names = [*range(len(values))] if subjects is None else [*subjects]
    return {
        name: np.sort(_scores(values[[other == name for other in names]]))
        for name in dict.fromkeys(names)
    }


def _unrejected(
    groups: Sequence[np.ndarray], alpha: float, own: np.ndarray | None = None, member: float = 0
) -> np.ndarray:
    """For each size of a set and number of subjects in it, if a set of these is not rejected.

    Of all such sets, that with the smallest sum is rejected last.

    Args:
        own, member: only sets with this score, which is one of the scores of its own subject.
    """
    count = sum(map(len, groups)) + (0 if own is None else len(own))
    sums = np.full((count + 1, count + 1), np.inf)
    sums[0, 0] = 0
    for scores in groups:
        sums = _with_subject(sums, scores)
    if own is not None:
        others = np.delete(own, np.searchsorted(own, member))
        sums = _with_subject(sums, np.array([member, *others]), at_least=1)
    return np.column_stack([_set_p(sums[:, n], n) > alpha * (1 + 1e-9) for n in range(count + 1)])


def _with_subject(sums: np.ndarray, scores: np.ndarray, at_least: int = 0) -> np.ndarray:
    """The smallest sums of sets that have `at_least` so many of one more subject's p-values.

    Args:
        scores: of this subject, in the order in which they come into a set.
    """
    new = np.full_like(sums, np.inf)
    for members in range(at_least, len(scores) + 1):
        score, subjects = (scores[:members].mean(), 1) if members else (0, 0)
        height, width = np.subtract(sums.shape, (members, subjects))
        target = new[members:, subjects:]
        np.minimum(target, sums[:height, :width] + score, out=target)
    return new


def _set_p(sums: np.ndarray, subjects: int) -> np.ndarray:
    """The p-values of sets with these sums of scores; 0 for an infinite sum, of no set."""
    if not np.isfinite(sums).any():
        return np.zeros(len(sums))
    small = np.arange(1, subjects + 1)
    probability = binom.pmf(small, subjects, TRUNCATION)
    return np.where(sums > 0, chi2.sf(sums[:, None], 2 * small) @ probability, 1)
