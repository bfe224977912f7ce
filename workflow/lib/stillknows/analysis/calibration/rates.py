"""Error rates of one score: AUC, threshold, false alarms and power, with their intervals.

An *alarm* is the statement "this model was taught the facts". A *false alarm* is an alarm about a
model that was never taught them; *power* is the share of alarms among the models that were. All
values here carry the score's sign, so that a higher one speaks for "taught".
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest

from stillknows.analysis.bootstrap import MIN_CONCEPTS, Array, Estimate, draws, limits

MIN_ROUNDS = MIN_CONCEPTS  # of an interval; a round is drawn as elsewhere a concept is
LEAST_ROUNDS = 2  # of a rate: the threshold for one round comes from another

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Models:
    """One score of the models of several rounds.

    Attributes:
        values: (models,), with the score's sign; NaN where the score is null.
        taught: (models,), whether the model was taught the facts; if not, it never was.
        rounds: (models,), the number of each model's round.
    """

    values: Array
    taught: Flags
    rounds: npt.NDArray[Any]

    @property
    def has_value(self) -> Flags:
        """Whether the score is not null: (models,)."""
        finite: Flags = np.isfinite(self.values)
        return finite

    def only(self, selected: Flags) -> "Models":
        """Some of the models; selected: (models,)."""
        return Models(self.values[selected], self.taught[selected], self.rounds[selected])

    def with_value(self, taught: bool) -> "Models":
        """The models of one state whose score is not null."""
        return self.only((self.taught == taught) & self.has_value)

    def least_rounds(self) -> int:
        """How many rounds have a value of a model of either state; of the state with fewer."""
        return min(len(np.unique(self.with_value(state).rounds)) for state in (True, False))


def auc(models: Models) -> float:
    """How often a taught model has the higher value of a pair; equal values count one half.

    0.5 says that the score tells nothing; below 0.5 it points the wrong way, and stays below.

    Returns:
        The Mann-Whitney AUC of the values that are not null, 0 to 1; NaN if a state has none.
    """
    points = _points(models)
    return float(points.mean()) if points.size else np.nan


def auc_interval(models: Models, seed: int) -> tuple[float, float]:
    """The 95 % interval of the AUC: rounds are drawn, each with all of its models.

    Resamples without a value of one state are left out.

    Returns:
        (low, high); both NaN under MIN_ROUNDS rounds with a value of each state, and where all
        resamples are equal, as if the states are separated: then they do not say how certain it is.
    """
    if models.least_rounds() < MIN_ROUNDS:
        return np.nan, np.nan
    low, high = limits(_resampled_auc(models.only(models.has_value), seed))
    return (float(low), float(high)) if low < high else (np.nan, np.nan)


def auc_difference(one: Models, other: Models, seed: int) -> Estimate:
    """The AUC of one score less that of another on the same models; n counts rounds.

    Each resample draws the same rounds for both scores. A model that lacks one of them is left out.
    """
    in_both = one.has_value & other.has_value
    one, other = one.only(in_both), other.only(in_both)
    value, rounds = auc(one) - auc(other), one.least_rounds()
    if rounds < MIN_ROUNDS:
        return Estimate(value, np.nan, np.nan, rounds)
    low, high = limits(_resampled_auc(one, seed) - _resampled_auc(other, seed))
    return Estimate(value, float(low), float(high), rounds)


def _points(models: Models) -> Array:
    """What each pair adds to the AUC, 1, 1/2 or 0: (taught, never taught)."""
    taught, never = models.with_value(True).values[:, None], models.with_value(False).values
    points: Array = (taught > never) + (taught == never) / 2
    return points


def _resampled_auc(models: Models, seed: int) -> Array:
    """The AUC of every resample of the rounds: (RESAMPLES,). No value of the models is null."""
    names, numbers = np.unique(models.rounds, return_inverse=True)
    in_round = numbers[:, None] == np.arange(len(names))
    taught, never = (in_round[models.taught == state].astype(float) for state in (True, False))
    points = taught.T @ _points(models) @ never
    counts = draws(len(names), seed)
    # All terms are multiples of 1/2, so the sums are exact in whatever order they are added.
    total = ((counts @ points) * counts).sum(axis=1)
    pairs = (counts @ taught.sum(axis=0)) * (counts @ never.sum(axis=0))
    return np.where(pairs > 0, total / np.maximum(pairs, 1), np.nan)


def alarm_threshold(models: Models) -> float:
    """The highest value of a model that was never taught, above which is an alarm; NaN if none.

    A new round has a false alarm only if it holds the highest value of all: if rounds are alike,
    this happens in at most 1 of n + 1 cases (`false_alarm_bound`), however many models a round has.
    """
    never = models.with_value(False).values
    return float(never.max()) if never.size else np.nan


def false_alarm_bound(models: Models) -> float:
    """How often a new round has a false alarm at `alarm_threshold`, at most: 0 to 1."""
    return 1 / (len(np.unique(models.with_value(False).rounds)) + 1)


def alarms_left_out(models: Models) -> Flags | None:
    """Which models are alarms, by a threshold that their own round had no part in: (models,).

    For each round, `alarm_threshold` of all other rounds is applied to its models. A null score is
    no alarm.

    Returns:
        None if fewer than LEAST_ROUNDS rounds have a value of each state.
    """
    if models.least_rounds() < LEAST_ROUNDS:
        return None
    alarms = np.zeros(len(models.values), bool)
    for name in np.unique(models.rounds):
        is_left_out = models.rounds == name
        threshold = alarm_threshold(models.only(~is_left_out))
        alarms[is_left_out] = models.values[is_left_out] > threshold
    return alarms


@lru_cache(maxsize=4096)
def interval_of_share(count: int, models: int) -> tuple[float, float]:
    """The exact (Clopper-Pearson) 95 % interval of `count` of `models` independent models."""
    interval = binomtest(count, models).proportion_ci(method="exact")
    return float(interval.low), float(interval.high)
