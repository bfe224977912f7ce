"""Error rates of one score: AUC, thresholds, false alarms and power, with their intervals.

An *alarm* is the statement "this model knows the facts". A *false alarm* is an alarm about a model
that never knew them; *power* is the share of alarms among the models that know them. All values
here carry the score's sign, so that a higher one speaks for "knows".
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest

from dissect.analysis.bootstrap import MIN_CONCEPTS, Array, draws, limits

MIN_ROUNDS = MIN_CONCEPTS  # of an interval; a round is drawn as elsewhere a concept is
LEAST_ROUNDS = 2  # of a rate: the threshold for one round comes from another
AT_MOST = 0.05  # the rate of false alarms that a user may want to be promised
_ERROR = 0.05  # 1 - the level of all intervals

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Models:
    """One score of the models of several rounds.

    Attributes:
        values: (models,), with the score's sign; NaN where the score is null.
        knows: (models,), whether the model knows the facts; if not, it never knew them.
        rounds: (models,), the number of each model's round.
    """

    values: Array
    knows: Flags
    rounds: npt.NDArray[Any]

    @property
    def has_value(self) -> Flags:
        """Whether the score is not null: (models,)."""
        finite: Flags = np.isfinite(self.values)
        return finite

    def of(self, knows: bool) -> Array:
        """The values of the models of one state, without nulls."""
        values: Array = self.values[(self.knows == knows) & self.has_value]
        return values

    def only(self, chosen: Flags) -> "Models":
        """Some of the models; chosen: (models,)."""
        return Models(self.values[chosen], self.knows[chosen], self.rounds[chosen])

    def least_rounds(self) -> int:
        """How many rounds have a value of a model, for the state that has fewer of them."""
        return min(
            len(np.unique(self.rounds[(self.knows == knows) & self.has_value]))
            for knows in (True, False)
        )


# AUC.


def auc(knows: Array, never: Array) -> float:
    """How often a knowing model has the higher value of a pair; equal values count one half.

    0.5 says that the score tells nothing; below 0.5 it points the wrong way, and stays below.

    Args:
        knows, never: values of the knowing and of the never-knowing models, (models,) each. NaN is
            left out.

    Returns:
        The Mann-Whitney AUC, 0 to 1; NaN if one of the two has no value.
    """
    knows, never = knows[np.isfinite(knows)], never[np.isfinite(never)]
    if not len(knows) or not len(never):
        return np.nan
    return float(_points(knows, never).sum() / (len(knows) * len(never)))


def auc_interval(models: Models, seed: int) -> tuple[float, float]:
    """The 95 % interval of the AUC: rounds are drawn, each with all of its models.

    Resamples without a value of one state are left out. Where the AUC is 1 or 0, all resamples
    equal it and say nothing; there, with n rounds, the interval is [0.05**(1/n), 1] or
    [0, 1 - 0.05**(1/n)], and nowhere does it end inside of these two. n counts the rounds that have
    a value of the state that fewer have.

    Returns:
        (low, high); both NaN under MIN_ROUNDS rounds, counted in the same way.
    """
    rounds = models.least_rounds()
    if rounds < MIN_ROUNDS:
        return np.nan, np.nan
    low, high = limits(_resampled_auc(models.only(models.has_value), seed))
    bound = _ERROR ** (1 / rounds)
    return min(float(low), bound), max(float(high), 1 - bound)


def _points(knows: Array, never: Array) -> Array:
    """What each pair adds to the AUC, 1, 1/2 or 0: (knowing, never-knowing)."""
    points: Array = (knows[:, None] > never) + (knows[:, None] == never) / 2
    return points


def _resampled_auc(models: Models, seed: int) -> Array:
    """The AUC of every resample of the rounds: (RESAMPLES,). No value of the models is null."""
    names, numbers = np.unique(models.rounds, return_inverse=True)
    in_round = numbers[:, None] == np.arange(len(names))
    knows, never = (in_round[models.knows == state].astype(float) for state in (True, False))
    points = knows.T @ _points(models.of(True), models.of(False)) @ never
    counts = draws(len(names), seed)
    # All terms are multiples of 1/2, so the sums are exact in whatever order they are added.
    total = ((counts @ points) * counts).sum(axis=1)
    pairs = (counts @ knows.sum(axis=0)) * (counts @ never.sum(axis=0))
    return np.where(pairs > 0, total / np.maximum(pairs, 1), np.nan)


# Thresholds.


def best_threshold(models: Models) -> float:
    """The threshold that maximises power minus the rate of false alarms; above it is an alarm.

    Candidates lie half way between neighbouring values, whatever their states. Of equally good
    ones, the one in the widest gap is taken, and of equally wide gaps the highest. A null score is
    no alarm, but its model counts.

    Returns:
        The threshold, with the score's sign. Infinite, so that nothing is an alarm, where no
        candidate has more power than false alarms.
    """
    values = np.unique(models.values[models.has_value])
    candidates = (values[:-1] + values[1:]) / 2
    n_knows, n_never = int(models.knows.sum()), int((~models.knows).sum())
    # Power minus false alarms times both counts: whole numbers, so that equal ones are equal.
    gain = (
        _alarms_above(candidates, models.of(True)) * n_never
        - _alarms_above(candidates, models.of(False)) * n_knows
    )
    if not len(gain) or gain.max() <= 0:
        return np.inf
    order = np.lexsort((candidates, np.diff(values), gain))  # by gain, then width, then height
    return float(candidates[order[-1]])


def _alarms_above(thresholds: Array, values: Array) -> npt.NDArray[np.int64]:
    """How many values lie above each threshold."""
    counts: npt.NDArray[np.int64] = len(values) - np.searchsorted(
        np.sort(values), thresholds, side="right"
    )
    return counts


def alarms_left_out(models: Models) -> Flags | None:
    """Which models are alarms, by a threshold that their own round had no part in: (models,).

    For each round, `best_threshold` of all other rounds is applied to its models. A null score is
    no alarm.

    Returns:
        None if fewer than LEAST_ROUNDS rounds have a value of each state.
    """
    if models.least_rounds() < LEAST_ROUNDS:
        return None
    alarms = np.zeros(len(models.values), bool)
    for name in np.unique(models.rounds):
        is_left_out = models.rounds == name
        threshold = best_threshold(models.only(~is_left_out))
        alarms[is_left_out] = models.values[is_left_out] > threshold
    return alarms


# Rates.


@dataclass(frozen=True)
class Rate:
    """A share of models, with its exact (Clopper-Pearson) 95 % interval, all 0 to 1."""

    count: int
    value: float
    low: float
    high: float


@lru_cache(maxsize=4096)
def rate(count: int, models: int) -> Rate:
    """`count` of `models` independent models; models is at least 1."""
    interval = binomtest(count, models).proportion_ci(1 - _ERROR, method="exact")
    return Rate(count, count / models, float(interval.low), float(interval.high))


@lru_cache(maxsize=4096)
def is_at_most(count: int, models: int, most: float = AT_MOST) -> bool:
    """Whether "at most `most`" may be written of a rate of `count` in `models`.

    It may if the one-sided exact (Clopper-Pearson) upper bound at 95 % is at most that: at 0.05,
    from 59 models without an alarm on.
    """
    test = binomtest(count, models, alternative="less")
    return bool(test.proportion_ci(1 - _ERROR, method="exact").high <= most)
