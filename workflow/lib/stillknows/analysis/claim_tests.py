"""Tests of the paper's claims: some concepts choose the windows, the others decide.

docs/explanation/statistics.md says why. "Somewhere" is tested at the chosen window; "nowhere" needs
no choice: it has to be true of every window. The test is a randomisation test of the mean contrast
(a concept's number less what it is compared with): with n concepts of one sign, no p is smaller
than 2/2^n.

Sources: R. A. Fisher, The Design of Experiments (1935), section 21; S. Holm, A simple sequentially
rejective multiple test procedure, Scandinavian Journal of Statistics 6 (1979).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import Any

import numpy as np

from stillknows.analysis.bootstrap import Array, mean_and_interval
from stillknows.analysis.statistics import Mask

LEVEL = 0.05  # of a family of claims
ONE_IN = 10  # of so many concepts, one chooses; always at least one
EXACT_UP_TO = 12  # concepts; of more, FLIPS choices of signs are drawn
FLIPS = 10_000
_ROUNDING = 1e-6  # scores are float32: less than this is no difference


def choosing(concepts: Sequence[str]) -> Mask:
    """Which concepts choose the windows, (concepts,): those whose ids' sha256 come first."""
    ranks = np.argsort(np.argsort([sha256(name.encode()).hexdigest() for name in concepts]))
    mask: Mask = ranks < max(1, len(concepts) // ONE_IN)
    return mask


@dataclass(frozen=True)
class Sides:
    """What a claim compares, (concepts, points): windows, or windows and signs; or one 0 behind."""

    ahead: Array
    behind: Array

    def of(self, concepts: Mask) -> "Sides":
        return Sides(self.ahead[concepts], self.behind[concepts])

    def highest(self) -> tuple[int, int]:
        """The points where the mean of these concepts is highest, ahead and behind."""
        return int(self.ahead.mean(axis=0).argmax()), int(self.behind.mean(axis=0).argmax())

    def leads(self, chosen: tuple[int, int]) -> tuple[Array, Array]:
        """The chosen point ahead less each behind, and each ahead less the chosen: (concepts,
        points).
        """
        ahead, behind = chosen
        return self.ahead[:, [ahead]] - self.behind, self.ahead - self.behind[:, [behind]]

    def lead(self, chosen: tuple[int, int], at_most: bool) -> Array:
        """The lead that is worst for a claim, (concepts,): over the highest behind or ahead."""
        least, most = self.leads(chosen)
        if at_most:
            return most[:, most.mean(axis=0).argmax()]
        return least[:, least.mean(axis=0).argmin()]


def assess(
    sides: Sides, chosen: tuple[int, int], threshold: float, at_most: bool, seed: int
) -> dict[str, Any]:
    """Test whether the chosen point leads all behind by more than a threshold, or none ahead does.

    Args:
        sides: of the concepts that decide, one at least; finite.
        chosen: what `Sides.highest` returns of the concepts that choose.
        at_most: whether the claim is that the lead is at most the threshold.

    Returns:
        value, low, high and n of the lead (`bootstrap.Estimate`); is_above, on which side of the
        threshold it is, and the p of that.
    """
    least, most = sides.leads(chosen)
    above, below = p_of_all(least - threshold, seed), p_of_all(threshold - most, seed)
    lead = mean_and_interval(sides.lead(chosen, at_most)[None, :, None], seed)
    number = {name: values[0] for name, values in lead.items()}
    return number | {"p": min(above, below), "is_above": above < below}


@lru_cache(maxsize=8)
def signs(concepts: int, seed: int) -> Array:
    """Choices of signs, (choices, concepts): all of them up to EXACT_UP_TO concepts, else FLIPS."""
    if concepts <= EXACT_UP_TO:
        flipped = np.arange(1 << concepts)[:, None] >> np.arange(concepts) & 1
    else:
        drawn = np.random.default_rng(seed).integers(0, 2, (FLIPS, concepts))
        flipped = np.vstack([np.zeros((1, concepts), int), drawn])
    choices: Array = np.where(flipped, -1.0, 1.0)
    choices.flags.writeable = False  # the cache hands the same array to all callers
    return choices


def sign_flip_p(contrasts: Array, seed: int = 0) -> Array:
    """The two-sided p of a mean contrast of 0, (concepts, ...) -> (...); contrasts are finite."""
    contrasts = np.where(np.abs(contrasts) < _ROUNDING, 0.0, contrasts)
    # einsum, not matmul: BLAS may add in another order when the number of threads changes.
    sums = np.abs(np.einsum("fc,c...->f...", signs(len(contrasts), seed), contrasts))
    p: Array = (sums >= sums[0] * (1 - 1e-12)).mean(axis=0)
    return p


def p_of_all(contrasts: Array, seed: int = 0) -> float:
    """The p of all mean contrasts being above 0: the largest of the points' p-values.

    1 where one mean is not above 0. An intersection-union test: it needs no correction for the
    number of points.
    """
    if (contrasts.mean(axis=0) <= 0).any():
        return 1.0
    return float(sign_flip_p(contrasts, seed).max())


def holm(p: Array) -> Array:
    """Holm's adjusted p of the claims of one family, (claims,); NaN, not tested, counts as one."""
    order = np.argsort(p)  # NaN last
    adjusted = np.full(len(p), np.nan)
    factors = np.arange(len(p), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * factors), 1.0)
    return adjusted


def concepts_needed(claims: int) -> int:
    """The least n with which a claim of a family of so many can be decided: 2/2^n <= LEVEL/m."""
    return next(n for n in range(1, 64) if 2 / 2**n <= LEVEL / claims)
