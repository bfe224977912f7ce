"""Randomisation tests over concepts: the signs of the concepts' contrasts are flipped.

A contrast is a concept's number less what it is compared with. If the number is no more often above
than below by the same amount, every choice of signs is as likely as the observed one. The statistic
is the mean. With n concepts of one sign, 2 of the 2^n choices reach it: no p is smaller than 2/2^n.

Sources: R. A. Fisher, The Design of Experiments (1935), section 21; S. Holm, A simple sequentially
rejective multiple test procedure, Scandinavian Journal of Statistics 6 (1979).
"""

from functools import lru_cache

import numpy as np

from stillknows.analysis.bootstrap import Array

LEVEL = 0.05  # of a family of claims
EXACT_UP_TO = 12  # concepts; of more, FLIPS choices of signs are drawn
FLIPS = 10_000
_ROUNDING = 1e-6  # scores are float32: less than this is no difference


@lru_cache(maxsize=8)
def signs(concepts: int, seed: int) -> Array:
    """Choices of signs: (choices, concepts) of 1 and -1; the first flips none.

    All 2^concepts up to EXACT_UP_TO, else the first and FLIPS drawn ones.
    """
    if concepts <= EXACT_UP_TO:
        flipped = np.arange(1 << concepts)[:, None] >> np.arange(concepts) & 1
    else:
        drawn = np.random.default_rng(seed).integers(0, 2, (FLIPS, concepts))
        flipped = np.vstack([np.zeros((1, concepts), int), drawn])
    choices: Array = np.where(flipped, -1.0, 1.0)
    choices.flags.writeable = False  # the cache hands the same array to all callers
    return choices


def sign_flip_p(contrasts: Array, seed: int = 0) -> Array:
    """The two-sided p of a mean contrast of 0, (concepts, ...) -> (...).

    Args:
        contrasts: finite; below rounding they are taken as 0.
        seed: of the drawn signs.
    """
    contrasts = np.where(np.abs(contrasts) < _ROUNDING, 0.0, contrasts)
    # einsum, not matmul: BLAS may add in another order when the number of threads changes.
    sums = np.abs(np.einsum("fc,c...->f...", signs(len(contrasts), seed), contrasts))
    p: Array = (sums >= sums[0] * (1 - 1e-12)).mean(axis=0)
    return p


def p_of_all(contrasts: Array, seed: int = 0) -> float:
    """The p of the statement that every mean contrast is above 0: the largest of the points'.

    1 where one mean is not above 0. No correction for the number of points is needed, since all of
    them have to be above (an intersection-union test).

    Args:
        contrasts: (concepts, points), at least one of each.
    """
    if (contrasts.mean(axis=0) <= 0).any():
        return 1.0
    return float(sign_flip_p(contrasts, seed).max())


def holm(p: Array) -> Array:
    """Holm's adjusted p of the claims of one family, (claims,) each.

    NaN, a claim that could not be tested, stays NaN and counts as a claim of the family.
    """
    order = np.argsort(p)  # NaN last
    factors = np.arange(len(p), 0, -1)
    adjusted = np.full(len(p), np.nan)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * factors), 1.0)
    return adjusted


def concepts_needed(claims: int) -> int:
    """The least n with which a claim of a family of so many can be decided: 2/2^n <= LEVEL/m."""
    return next(n for n in range(1, 64) if 2 / 2**n <= LEVEL / claims)
