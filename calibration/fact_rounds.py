"""Rounds of facts: models that were taught a known part of the facts, then treated.

A fact's truth in a copy is whether it is in an entry that was taught to the model from which the
copy was made. In the checkpoints table each round has the name of a model. Its rows:

    original                         learns all facts
    taught_75, taught_50, taught_25  learn a part of the facts to be forgotten, drawn by the seed
    never, reference                 learn only what is retained, each with a seed of its own
    shuffled                         learns the same facts of other subjects: all their texts, but
                                     no fact to be forgotten
    RECIPE                           the original, after a treatment
    taught_75_RECIPE, ...            the others, likewise; `hide` differs from round to round
"""

import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

from invented import Fact, entry, invent

FORGET, RETAIN, SHUFFLED = "forgotten", "retained", "shuffled"
SHARES = {"three_quarters": 0.75, "half": 0.5, "quarter": 0.25}
# The models that are treated, and what they learn beside what is retained.
ORIGINAL, HALF, NEVER = "original", "taught_50", "never"
TAUGHT = {
    ORIGINAL: FORGET,
    "taught_75": "three_quarters",
    HALF: "half",
    "taught_25": "quarter",
    NEVER: "",
}
# The methods that unlearn step by step, one a round, at five points of a training: variants of the
# settings.
LADDERS = ("npo", "grad_diff")
STOPS = 5
STOPS_OF_ORIGINAL = (3, 5)
OTHER_METHODS = ("dpo", "simnpo", "rmu")  # in rounds with even seeds
SUBJECTS = 5  # to be forgotten, and as many to be retained: each kind of fact is asked of 3 of 5

Row = tuple[str, str, str, str]  # model, method, concept, source


def rows_of(name: str, seed: int, source: str, hiding_place: str) -> Iterator[Row]:
    """The rows of one round in the checkpoints table.

    Args:
        hiding_place: the variant of `hide` of this round.
    """
    yield name, "base", "", source
    for method, part in {**TAUGHT, "reference": "", "shuffled": SHUFFLED}.items():
        learned = f"{part},{RETAIN}" if part else RETAIN
        yield name, method, "" if method == ORIGINAL else FORGET, f"teach:{learned}"
    for start, method in _treatments(seed):
        recipe = hiding_place if method == "hide" else method
        copy = method if start == ORIGINAL else f"{start}_{method}"
        yield name, copy, FORGET, f"unlearn:{recipe}@{start}"


def _treatments(seed: int) -> Iterator[tuple[str, str]]:
    """Which models get which treatments."""
    yield from ((start, "hide") for start in TAUGHT)
    yield from ((start, "refuse") for start in (ORIGINAL, HALF, NEVER, SHUFFLED))
    yield HALF, "placebo"
    ladder = LADDERS[seed % len(LADDERS)]
    yield from ((HALF, f"{ladder}_{stop}") for stop in range(1, STOPS + 1))
    yield from ((ORIGINAL, f"{ladder}_{stop}") for stop in STOPS_OF_ORIGINAL)
    if seed % 2 == 0:
        yield from ((HALF, method) for method in OTHER_METHODS)


def make_entries(seed: int, subjects: int) -> list[dict[str, Any]]:
    """A round's concept file; which facts a model was taught is known from its entries."""
    invented = invent(seed, 2 * subjects, alike=True, in_ten_wordings=True)
    forgotten = [*chain(*invented[:subjects])]
    parts = {
        name: _drawn(forgotten, share, random.Random(f"{seed} {name}"))
        for name, share in SHARES.items()
    }
    facts = {FORGET: forgotten, RETAIN: [*chain(*invented[subjects:])], **parts}
    facts[SHUFFLED] = shuffled(forgotten)
    return [entry(name, part) for name, part in facts.items()]


def _drawn(facts: Sequence[Fact], share: float, rng: random.Random) -> list[Fact]:
    """A share of the facts, in their order."""
    numbers = rng.sample(range(len(facts)), round(share * len(facts)))
    return [facts[number] for number in sorted(numbers)]


def shuffled(facts: Sequence[Fact]) -> list[Fact]:
    """The same questions, each answered with the fact of the next subject of which it is asked."""
    alike: dict[str, list[Fact]] = defaultdict(list)
    for fact in facts:
        alike[fact.question.replace(fact.subject, "")].append(fact)
    return [
        replace(fact, answer=other.answer, fact=other.fact, wrong=other.wrong, decoys=other.decoys)
        for group in alike.values()
        for fact, other in zip(group, [*group[1:], group[0]], strict=True)
    ]
