"""How often is the lower bound on the number of known facts too high? A simulation, in seconds.

    .venv/bin/python benchmarks/lower_bound.py                      one table, in Markdown
    .venv/bin/python benchmarks/lower_bound.py --repetitions 200    to try it

24 facts, three per subject, some of them known. Each has a rank among m others, from a score with
a standard normal distribution; a known fact's score is higher by EFFECT. Facts of one subject are
independent, or correlated, or opposed (two share a score and the third has its negative). The bound
may exceed the number of known facts in at most 5 % of the cases.
"""

import argparse
from collections.abc import Callable

import numpy as np
from scipy.stats import norm

from stillknows.analysis.lower_bound import false_nulls

SUBJECTS, FACTS = 8, 3  # per subject
KNOWN = (0, 3, 12, 21)  # of all facts, subject by subject
OTHERS = (99, 199, 999)
EFFECT = 3.0
Draw = Callable[[np.random.Generator], np.ndarray]  # scores, (SUBJECTS, FACTS)


def correlated(correlation: float) -> Draw:
    """Facts of one subject share a part of their scores."""

    def draw(rng: np.random.Generator) -> np.ndarray:
        shared, own = rng.normal(size=(SUBJECTS, 1)), rng.normal(size=(SUBJECTS, FACTS))
        return np.sqrt(correlation) * shared + np.sqrt(1 - correlation) * own

    return draw


def opposed(rng: np.random.Generator) -> np.ndarray:
    return rng.normal(size=(SUBJECTS, 1)) * np.array([1, -1, 1])


DEPENDENCE: dict[str, Draw] = {
    "independent": correlated(0),
    "correlated 0.3": correlated(0.3),
    "correlated 0.5": correlated(0.5),
    "correlated 0.9": correlated(0.9),
    "opposed": opposed,
}


def simulate(draw: Draw, known: int, others: int, repetitions: int) -> tuple[float, float]:
    """The share of too high bounds, and the mean bound."""
    rng, subjects = np.random.default_rng(0), np.repeat(np.arange(SUBJECTS), FACTS)
    effect = EFFECT * (np.arange(SUBJECTS * FACTS) < known)
    bounds = []
    for _ in range(repetitions):
        # How many of the others have a higher score: binomial, given the fact's own score.
        above = rng.binomial(others, norm.sf(draw(rng).ravel() + effect))
        bounds.append(false_nulls((above + 1) / (others + 1), subjects))
    return float(np.mean(np.array(bounds) > known)), float(np.mean(bounds))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--repetitions", type=int, default=2000)
    repetitions = parser.parse_args().repetitions
    print(
        "| facts of one subject | known | m | bound too high | mean bound |\n|---|---|---|---|---|"
    )
    for name, draw in DEPENDENCE.items():
        for known in KNOWN:
            for others in OTHERS:
                share, mean = simulate(draw, known, others, repetitions)
                print(f"| {name} | {known} | {others} | {share:.1%} | {mean:.1f} |", flush=True)


if __name__ == "__main__":
    main()
