"""Claims on highest points, tested: some concepts choose the windows, the others decide.

A highest point that is chosen and read on the same concepts is too high, and a test of it decides
too often. Leaving out only the concept that is read, in turn, does not correct that: then concepts
share most of what chose their windows, and their contrasts are no longer independent
(docs/explanation/statistics.md has the simulation). So concepts that choose never decide.

"Somewhere" is tested at the chosen window. "Nowhere" needs no choice: it has to be true of every
window.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

import numpy as np
import numpy.typing as npt

from stillknows.analysis.bootstrap import Array, Estimate, mean_and_interval
from stillknows.analysis.sign_flip import p_of_all

ONE_IN = 10  # of so many concepts, one chooses; always at least one

Mask = npt.NDArray[np.bool_]


def choosing(concepts: Sequence[str]) -> Mask:
    """Which concepts choose the windows: (concepts,).

    Those whose ids' sha256 come first, so that no seed and no score has a say in it, and a further
    concept changes little.
    """
    ranks = np.argsort(np.argsort([sha256(name.encode()).hexdigest() for name in concepts]))
    mask: Mask = ranks < max(1, len(concepts) // ONE_IN)
    return mask


@dataclass(frozen=True)
class Sides:
    """What a claim compares, of each concept: (concepts, points).

    A point is a window; of a curve whose sign does not matter, a window and a sign. behind is one
    point of 0 where a claim compares a curve with nothing but its threshold.
    """

    ahead: Array
    behind: Array

    @property
    def have_values(self) -> Mask:
        """Which concepts have a value at every point."""
        finite: Mask = np.isfinite(np.hstack([self.ahead, self.behind]))
        return np.asarray(finite.all(axis=1))

    def of(self, concepts: Mask) -> "Sides":
        """The same of some concepts."""
        return Sides(self.ahead[concepts], self.behind[concepts])

    def highest(self) -> "Chosen":
        """The points where the mean of these concepts is highest, on either side."""
        return Chosen(*(int(one.mean(axis=0).argmax()) for one in (self.ahead, self.behind)))


@dataclass(frozen=True)
class Chosen:
    """The chosen point of either side."""

    ahead: int
    behind: int

    def leads(self, sides: Sides) -> Array:
        """The chosen point ahead less every point behind: (concepts, points behind)."""
        return sides.ahead[:, [self.ahead]] - sides.behind

    def trails(self, sides: Sides) -> Array:
        """Every point ahead less the chosen point behind: (concepts, points ahead)."""
        return sides.ahead - sides.behind[:, [self.behind]]

    def differences(self, sides: Sides, at_most: bool) -> Array:
        """The differences that a claim is about, the one that is worst for it: (concepts,).

        Of a claim that the lead is at least something, the chosen point less the highest behind; of
        one that it is at most something, the highest ahead less the chosen point behind.
        """
        if at_most:
            every = self.trails(sides)
            return every[:, every.mean(axis=0).argmax()]
        every = self.leads(sides)
        return every[:, every.mean(axis=0).argmin()]


@dataclass(frozen=True)
class Tested:
    """A number, on which side of the threshold it is, and the p of that."""

    number: Estimate
    p: float
    is_above: bool


def assess(sides: Sides, chosen: Chosen, threshold: float, at_most: bool, seed: int) -> Tested:
    """Test whether a lead is above or below a threshold.

    Above: the chosen point leads every point behind by more. Below: no point leads the chosen point
    behind by as much. At most one of the two can be true of the means.

    Args:
        sides: of the concepts that decide, one at least; finite.
        at_most: whether the claim is that the lead is at most the threshold.
        seed: of the bootstrap, and of the signs where not all are tried.
    """
    above = p_of_all(chosen.leads(sides) - threshold, seed)
    below = p_of_all(threshold - chosen.trails(sides), seed)
    differences = chosen.differences(sides, at_most)[None, :, None]
    interval = {name: one[0] for name, one in mean_and_interval(differences, seed).items()}
    number = Estimate(
        float(interval["value"]),
        float(interval["low"]),
        float(interval["high"]),
        int(interval["n"]),
    )
    return Tested(number, min(above, below), above < below)
