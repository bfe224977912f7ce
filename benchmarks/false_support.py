"""How often is a claim supported that is not true? A simulation; it needs no model and no result.

    .venv/bin/python benchmarks/false_support.py                    all tables, in Markdown
    .venv/bin/python benchmarks/false_support.py --repetitions 200  to try it

Curves with a true plateau exactly on the threshold of a claim: there, no rule should say
"supported" in more than 5 % of the cases. Concepts differ by noise that is correlated over layers.
Three kinds of claims: a highest point of at least something (attention_much), a curve that is
nowhere further from 0 than something (value_vectors_nothing), a highest point above another
(coefficients_late).

- bootstrap: as it was until November 2026. The window is chosen on the mean of all concepts; the
  95 % percentile interval at that window is on the right side of the threshold.
- one left out: sign-flip test; each concept is read at the window that all others choose.
- held out: the rule of the program (`stillknows.analysis.claim_tests`). One concept in ten chooses.

A test decides at p <= 0.05, as in the last of Holm's steps, in which a claim is wrong most often;
and at 0.05 / 4, as in the first step with four claims.
"""

import argparse
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import binomtest

from stillknows.analysis.bootstrap import Array, interval_of_mean
from stillknows.analysis.claim_tests import LEVEL, Sides, assess, choosing, holm, sign_flip_p

LAYERS, CONCEPTS, CLAIMS = 32, (5, 8, 10, 20), 4
OF_CONCEPT, FROM_LAYER_TO_LAYER = 0.5, 0.8  # share of the variance; correlation of what is left


# Skewness 0, -0.9 and -2.0 of the noise; to low values, since KRS has no lower bound. None:
# normal; a number: the shape of a gamma distribution, turned round.
SHAPES = {"normal": None, "skewed": 1.5, "strongly skewed": 0.25}


@dataclass(frozen=True)
class Kind:
    """A kind of claims. Its plateau is `windows` of LAYERS wide; all others are far below."""

    name: str
    threshold: float
    spread: float = 0.2  # standard deviation over concepts
    windows: int = 12
    at_most: bool = False
    has_rival: bool = False  # a second plateau, which the first should lead
    is_narrow: bool = False  # a single highest point instead: the windows beside it are lower


KINDS = (
    Kind("at least", 0.5),
    Kind("at most", 0.1, spread=0.05, windows=LAYERS, at_most=True),
    Kind("above another", 0.0, has_rival=True),
)


def noise(rng: np.random.Generator, concepts: int, shape: str) -> Array:
    """(concepts, LAYERS): mean 0, standard deviation 1."""

    def draw(size: tuple[int, int]) -> Array:
        gamma = SHAPES[shape]
        if gamma is None:
            return rng.normal(size=size)
        return (gamma - rng.gamma(gamma, size=size)) / math.sqrt(gamma)

    walk = draw((concepts, LAYERS))
    fresh = math.sqrt(1 - FROM_LAYER_TO_LAYER**2)
    for layer in range(1, LAYERS):
        walk[:, layer] = FROM_LAYER_TO_LAYER * walk[:, layer - 1] + fresh * walk[:, layer]
    shared = draw((concepts, 1))
    return math.sqrt(OF_CONCEPT) * shared + math.sqrt(1 - OF_CONCEPT) * walk


def planted(rng: np.random.Generator, kind: Kind, concepts: int, shape: str, lead: float) -> Sides:
    """Curves whose truth is the threshold plus `lead`, everywhere on the plateau."""
    curves = kind.spread * noise(rng, concepts, shape)
    ahead, behind = curves[:, -kind.windows :], np.zeros((concepts, 1))
    if kind.is_narrow:
        ahead = ahead - 0.02 * (np.arange(kind.windows) - kind.windows // 2) ** 2
    if kind.has_rival:
        behind = curves[:, : -kind.windows]
    ahead = ahead + kind.threshold + lead
    return Sides(np.hstack([ahead, -ahead]) if kind.at_most else ahead, behind)


def by_bootstrap(kind: Kind, sides: Sides) -> bool:
    """Whether the earlier rule supports the claim."""
    ahead, behind = sides.highest()
    values = sides.ahead[:, ahead] - sides.behind[:, behind]
    low, high = (float(one[0]) for one in interval_of_mean(values[None, :, None], seed=0))
    if kind.at_most:
        return high <= kind.threshold
    return low > kind.threshold if kind.has_rival else low >= kind.threshold


def by_leaving_one_out(kind: Kind, sides: Sides) -> float:
    """The p of the claim, each concept read where the others are highest; 1 on the wrong side."""
    every = np.arange(len(sides.ahead))
    chosen = [sides.of(every != one).highest() for one in every]
    values = np.array(
        [
            sides.ahead[concept, ahead] - sides.behind[concept, behind]
            for concept, (ahead, behind) in enumerate(chosen)
        ]
    )
    is_right = (values.mean() < kind.threshold) == kind.at_most
    return float(sign_flip_p(values - kind.threshold)) if is_right else 1.0


def by_holding_out(kind: Kind, sides: Sides) -> float:
    """The p of the claim by the program's rule; 1 on the wrong side."""
    chooses = choosing([f"concept {one}" for one in range(len(sides.ahead))])
    chosen = sides.of(chooses).highest()
    found = assess(sides.of(~chooses), chosen, kind.threshold, kind.at_most, seed=0)
    return found["p"] if found["is_above"] != kind.at_most else 1.0


def rates(
    kind: Kind, concepts: int, shape: str, repetitions: int, lead: float = 0.0
) -> dict[str, int]:
    """How many of the repetitions each rule supports."""
    rng = np.random.default_rng(
        [concepts, round(1000 * abs(lead)), shape == "normal", kind.windows]
    )
    counts: dict[str, int] = {}
    for _ in range(repetitions):
        sides = planted(rng, kind, concepts, shape, lead)
        left_out, held_out = by_leaving_one_out(kind, sides), by_holding_out(kind, sides)
        supported = {
            "bootstrap": by_bootstrap(kind, sides),
            "one left out": left_out <= LEVEL,
            "held out": held_out <= LEVEL,
            "held out, first of four": held_out <= LEVEL / CLAIMS,
        }
        counts = {name: counts.get(name, 0) + one for name, one in supported.items()}
    return counts


def any_of_family(concepts: int, shape: str, repetitions: int) -> int:
    """How often one of four claims at least is supported, all on their thresholds, by Holm."""
    rng = np.random.default_rng([concepts, 4])
    family = [KINDS[1], *[KINDS[0]] * (CLAIMS - 1)]
    wrong = 0
    for _ in range(repetitions):
        p = [by_holding_out(kind, planted(rng, kind, concepts, shape, 0.0)) for kind in family]
        wrong += bool((holm(np.array(p)) <= LEVEL).any())
    return wrong


def percent(count: int, repetitions: int) -> str:
    """A rate and its 95 % binomial interval (Wilson), in per cent."""
    low, high = binomtest(count, repetitions).proportion_ci(method="wilson")
    return f"{100 * count / repetitions:.1f} ({100 * low:.1f} to {100 * high:.1f})"


def false_support(repetitions: int) -> Iterator[str]:
    """Lines of the table of rates at a plateau on the threshold."""
    rules = "bootstrap | one left out | held out | held out, first of four"
    yield f"| claim | noise | concepts | {rules} |"
    yield "|---|---|---|---|---|---|---|"
    for kind in KINDS:
        for shape in SHAPES:
            for concepts in CONCEPTS:
                counts = rates(kind, concepts, shape, repetitions)
                cells = [percent(count, repetitions) for count in counts.values()]
                yield " | ".join([f"| {kind.name}", shape, str(concepts), *cells]) + " |"


def family_errors(repetitions: int) -> Iterator[str]:
    """Lines of the table of rates of any false support in a family of four."""
    yield "| noise | concepts | any of four supported |"
    yield "|---|---|---|"
    for shape in SHAPES:
        for concepts in CONCEPTS:
            count = any_of_family(concepts, shape, repetitions)
            yield f"| {shape} | {concepts} | {percent(count, repetitions)} |"


def power(repetitions: int) -> Iterator[str]:
    """Lines of the table of how often true claims are supported."""
    yield "| claim | concepts | beyond the threshold by | held out | held out, first of four |"
    yield "|---|---|---|---|---|"
    at_least, at_most = KINDS[0], KINDS[1]
    narrow = replace(at_least, name="at least, a single highest point", is_narrow=True)
    for kind, leads in ((at_least, (0.1, 0.2, 0.3)), (narrow, (0.1, 0.2, 0.3)), (at_most, (-0.1,))):
        for concepts in (10, 20):
            for lead in leads:
                counts = rates(kind, concepts, "normal", repetitions, lead)
                cells = [percent(counts[name], repetitions) for name in list(counts)[2:]]
                words = [f"| {kind.name}", str(concepts), f"{abs(lead):g}"]
                yield " | ".join([*words, *cells]) + " |"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description="how often a claim is falsely supported")
    parser.add_argument("--repetitions", type=int, default=4000)
    repetitions = parser.parse_args().repetitions
    for title, lines in (
        ("Supported at a plateau on the threshold, per cent", false_support),
        ("Any of four claims supported, all on their thresholds, per cent", family_errors),
        ("Supported where it is true, normal noise, per cent", power),
    ):
        print(f"\n{title} ({repetitions} repetitions, 95 % binomial interval)\n")
        for line in lines(repetitions):
            print(line, flush=True)


if __name__ == "__main__":
    main()
