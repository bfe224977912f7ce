"""How many of n null hypotheses are false: a lower confidence bound by closed testing.

Goeman and Solari 2011 (Multiple testing for exploratory research, Statistical Science 26): the
intersection of any hypotheses is tested by Simes' test, and the bound holds with probability
1 - alpha whenever that test is valid for the true nulls: for independent p-values, and for
positively dependent ones (PRDS), such as those of facts that one subject shares.
"""

from collections.abc import Sequence

import numpy as np


def false_nulls(p: Sequence[float] | np.ndarray, alpha: float = 0.05) -> int:
    """At least so many of the null hypotheses are false, with a confidence of 1 - alpha.

    No set of true nulls is larger than the largest set that Simes' test does not reject. Of all
    sets of one size, that of the largest p-values is rejected last, so only n sets are tested
    (Goeman, Meijer, Krebs and Solari 2019, Biometrika 106).

    A p of rank / (m + 1) is at least 1 / (m + 1): a single false null among n can only be counted
    if m + 1 >= n / alpha.

    Raises:
        ValueError: for a p-value that is not in [0, 1], or is no number.
    """
    ordered = np.sort(np.asarray(p, float))
    if not ((ordered >= 0) & (ordered <= 1)).all():
        raise ValueError("p-values must be numbers from 0 to 1")
    n = len(ordered)
    return next(
        n - size for size in range(n, -1, -1) if not simes_rejects(ordered[n - size :], alpha)
    )


def false_one_by_one(p: Sequence[float] | np.ndarray, alpha: float = 0.05) -> list[bool]:
    """Which null hypotheses are false by themselves, by the same closed testing (Hommel 1988).

    One of them or more is a true null with a probability of at most alpha. A hypothesis is rejected
    if each set that has it is; of each size, that is the set with the largest other p-values.
    """
    p = np.asarray(p, float)

    def is_rejected(number: int) -> bool:
        others = np.sort(np.delete(p, number))
        return all(
            simes_rejects(np.sort([p[number], *others[start:]]), alpha)
            for start in range(len(others) + 1)
        )

    return [is_rejected(number) for number in range(len(p))]


def simes_rejects(ordered: np.ndarray, alpha: float) -> bool:
    """Simes' test that all null hypotheses are true.

    Args:
        ordered: their p-values, ascending; an empty set is never rejected.
    """
    n = len(ordered)
    # p * n <= alpha * i, but for rounding in a p that equals the threshold, such as 1 / 20
    return bool((ordered * n <= alpha * np.arange(1, n + 1) * (1 + 1e-12)).any())
