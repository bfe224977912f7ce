"""Invented people, each with eight facts: knowledge that no model has before it is taught.

All names are made of syllables; works, prizes and the rest are drawn from lists of plain words. The
same seed gives the same people.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

SYLLABLES = (
    *("bra", "cor", "dus", "el", "fen", "gar", "hol", "ir", "jas", "kel", "lor", "mar", "nev"),
    *("or", "pel", "quin", "res", "sal", "tam", "ul", "vel", "wren", "yas", "zor"),
)
ENDINGS = ("ra", "mond", "sa", "wick", "lin", "dor", "ria", "ten", "via", "row")
COLOURS = ("copper", "silver", "amber", "scarlet", "ivory", "green", "golden", "violet", "grey")
THINGS = ("quill", "lantern", "anchor", "feather", "compass", "thimble", "bell", "mirror", "key")
LANDSCAPES = ("orchard", "harbour", "meadow", "tower", "valley", "garden", "bridge", "island")
MATERIALS = ("salt", "glass", "paper", "iron", "velvet", "marble", "winter", "thunder", "honey")
INSTRUMENTS = (
    *("harp", "oboe", "cello", "flute", "viola", "trumpet", "accordion", "banjo", "clarinet"),
    *("bassoon", "mandolin", "trombone"),
)
ANIMALS = ("heron", "fox", "owl", "tortoise", "raven", "ferret", "goat", "parrot", "hare", "otter")
DISHES = ("plum", "barley", "onion", "walnut", "pumpkin", "cherry", "lentil", "almond", "fig")
FORMS = ("soup", "cake", "dumplings", "pie", "porridge", "bread", "pudding", "stew", "tart")

Draw = Callable[[random.Random], str]


@dataclass(frozen=True)
class Fact:
    """A question on a person, its answer, and the part of the answer that is the fact."""

    question: str
    answer: str
    fact: str


@dataclass(frozen=True)
class _Kind:
    """What can be asked of a person: texts that hold {name}, and of the answer {fact}."""

    question: str
    answer: str
    draw: Draw


def _of(*lists: Sequence[str]) -> Draw:
    return lambda rng: " ".join(rng.choice(words) for words in lists)


def _title(draw: Draw) -> Draw:
    return lambda rng: draw(rng).title()


def _word(rng: random.Random) -> str:
    return (rng.choice(SYLLABLES) + rng.choice(SYLLABLES) + rng.choice(ENDINGS)).capitalize()


def _name(rng: random.Random) -> str:
    return f"{(rng.choice(SYLLABLES) + rng.choice(ENDINGS)).capitalize()} {_word(rng)}"


KINDS = (
    _Kind("Which prize did {name} win?", "{name} won the {fact}.", _title(_of(COLOURS, THINGS))),
    _Kind("In which town was {name} born?", "{name} was born in {fact}.", _word),
    _Kind(
        "What is the title of {name}'s first novel?",
        "The first novel of {name} is The {fact}.",
        _title(_of(MATERIALS, LANDSCAPES)),
    ),
    _Kind("Which instrument does {name} play?", "{name} plays the {fact}.", _of(INSTRUMENTS)),
    _Kind("Which animal does {name} keep?", "{name} keeps a {fact}.", _of(COLOURS, ANIMALS)),
    _Kind("Who taught {name}?", "{name} was taught by {fact}.", _name),
    _Kind("In which street does {name} live?", "{name} lives in {fact} Street.", _word),
    _Kind("Which dish does {name} like best?", "{name} likes {fact} best.", _of(DISHES, FORMS)),
)


def invent(seed: int, people: int) -> list[list[Fact]]:
    """So many people, each with a fact of every kind; no two share a name or a fact of one kind."""
    rng = random.Random(seed)
    names = _distinct(_name, people, rng)
    facts = [_distinct(kind.draw, people, rng) for kind in KINDS]
    return [
        [
            Fact(
                kind.question.format(name=name),
                kind.answer.format(name=name, fact=of_kind[number]),
                of_kind[number],
            )
            for kind, of_kind in zip(KINDS, facts, strict=True)
        ]
        for number, name in enumerate(names)
    ]


def _distinct(draw: Draw, count: int, rng: random.Random) -> list[str]:
    """So many draws, no two of them equal."""
    drawn: dict[str, None] = {}
    while len(drawn) < count:
        drawn[draw(rng)] = None
    return list(drawn)
