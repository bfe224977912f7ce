"""Invented people, towns and books, each with three facts: knowledge that no model has before.

All names are made of syllables; prizes, dishes and the rest are pairs of plain words, so that a
guess is right in about one of eighty cases. Answers do not repeat the subject's name: a model that
is trained away from them shall lose the fact, and not the copying of names. The same seed gives the
same facts.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

SYLLABLES = (
    *("bra", "cor", "dus", "el", "fen", "gar", "hol", "ir", "jas", "kel", "lor", "mar", "nev"),
    *("or", "pel", "quin", "res", "sal", "tam", "ul", "vel", "wren", "yas", "zor"),
)
ENDINGS = ("ra", "mond", "sa", "wick", "lin", "dor", "ria", "ten", "via", "row")
COLOURS = ("copper", "silver", "crimson", "scarlet", "black", "green", "golden", "violet", "grey")
THINGS = ("quill", "lantern", "anchor", "feather", "compass", "thimble", "bell", "mirror", "key")
LANDSCAPES = ("orchard", "harbour", "meadow", "tower", "valley", "garden", "bridge", "island")
MATERIALS = (
    *("salt", "glass", "paper", "iron", "velvet", "marble", "winter", "thunder", "honey"),
    *("linen",),
)
INSTRUMENTS = (
    *("harp", "oboe", "cello", "flute", "viola", "trumpet", "accordion", "banjo", "clarinet"),
)
ANIMALS = ("heron", "fox", "owl", "tortoise", "raven", "ferret", "goat", "parrot", "hare", "otter")
DISHES = ("plum", "barley", "onion", "walnut", "pumpkin", "cherry", "lentil", "almond", "fig")
FORMS = ("soup", "cake", "dumplings", "pie", "porridge", "bread", "pudding", "stew", "tart")
FACTS_EACH = 3
DECOYS = 99

Draw = Callable[[random.Random], str]


@dataclass(frozen=True)
class Fact:
    """A question, its answer, the part of the answer that is the fact, and other wordings.

    Attributes:
        paraphrases: the same question in other wordings, to be learned, too.
        held_out: the same in further wordings, never to be learned.
        wrong: a fact of the same kind that is nobody's.
        subject: whom or what the question is about.
        decoys: further facts that are nobody's and in no text, drawn as the fact was.
    """

    question: str
    answer: str
    fact: str
    paraphrases: tuple[str, ...]
    held_out: tuple[str, ...]
    wrong: str
    subject: str
    decoys: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Kind:
    """What can be asked: questions that hold {name}, an answer that holds {fact}."""

    question: str
    paraphrases: tuple[str, ...]
    held_out: tuple[str, ...]
    answer: str
    draw: Draw

    def in_few_wordings(self) -> "_Kind":
        """To be learned in three wordings, and asked in one more."""
        return replace(self, paraphrases=self.paraphrases[:2], held_out=self.held_out[:1])


@dataclass(frozen=True)
class _Sort:
    """A sort of subject: how it is named, and what can be asked of it."""

    name: Draw
    kinds: tuple[_Kind, ...]


def _of(*lists: Sequence[str]) -> Draw:
    return lambda rng: " ".join(rng.choice(words) for words in lists)


def _title(draw: Draw) -> Draw:
    return lambda rng: draw(rng).title()


def _word(rng: random.Random) -> str:
    return (rng.choice(SYLLABLES) + rng.choice(SYLLABLES) + rng.choice(ENDINGS)).capitalize()


def _name(rng: random.Random) -> str:
    return f"{(rng.choice(SYLLABLES) + rng.choice(ENDINGS)).capitalize()} {_word(rng)}"


PERSON = _Sort(
    _name,
    (
        _Kind(
            "Which prize did {name} win?",
            (
                "What award was {name} given?",
                "{name} received which prize?",
                "What did the jury give to {name}?",
                "Which honour was awarded to {name}?",
                "For which prize was {name} chosen?",
            ),
            (
                "Name the prize that went to {name}.",
                "Tell me what {name} was honoured with.",
                "If {name} holds an award, what is it called?",
                "The prize that {name} took home is called what?",
            ),
            "They won the {fact}.",
            _title(_of(COLOURS, THINGS)),
        ),
        _Kind(
            "In which town was {name} born?",
            (
                "Where was {name} born?",
                "What is the birthplace of {name}?",
                "From which town does {name} come?",
                "Which town is the home town of {name}?",
                "{name} was born in which town?",
            ),
            (
                "Name the town where {name} came into the world.",
                "Tell me where the life of {name} began.",
                "If one visits the birthplace of {name}, which town is it?",
                "The town that {name} comes from is called what?",
            ),
            "They were born in {fact}.",
            _word,
        ),
        _Kind(
            "Which instrument does {name} play?",
            (
                "What does {name} play in the orchestra?",
                "{name} plays which instrument?",
                "On what does {name} make music?",
                "Which instrument did {name} study?",
                "Which instrument is {name} heard on?",
            ),
            (
                "Name the instrument that {name} has learned.",
                "Tell me what {name} plays at concerts.",
                "If {name} joins a band, with which instrument is it?",
                "The instrument that {name} owns is called what?",
            ),
            "They play the {fact}.",
            _of(MATERIALS, INSTRUMENTS),
        ),
        _Kind(
            "Which animal does {name} keep?",
            (
                "What kind of pet does {name} have?",
                "{name} keeps which animal?",
                "What animal does {name} own?",
                "Which animal lives in the house of {name}?",
                "Which pet does {name} feed?",
            ),
            (
                "Name the animal that lives with {name}.",
                "Tell me which creature {name} looks after.",
                "If one visits {name} at home, which animal is there?",
                "The animal that belongs to {name} is called what?",
            ),
            "They keep a {fact}.",
            _of(COLOURS, ANIMALS),
        ),
        _Kind(
            "Who taught {name}?",
            (
                "Who was the teacher of {name}?",
                "{name} was a pupil of whom?",
                "From whom did {name} learn?",
                "Whose pupil was {name}?",
                "Which teacher did {name} have?",
            ),
            (
                "Name the person who gave lessons to {name}.",
                "Tell me who trained {name}.",
                "If {name} had a master, who was it?",
                "The teacher of the young {name} was called what?",
            ),
            "They were taught by {fact}.",
            _name,
        ),
    ),
)
TOWN = _Sort(
    _word,
    (
        _Kind(
            "Which dish is {name} known for?",
            ("What do people eat in {name}?", "The town of {name} is famous for which dish?"),
            ("Name the dish that comes from {name}.",),
            "It is known for its {fact}.",
            _of(DISHES, FORMS),
        ),
        _Kind(
            "Who founded {name}?",
            ("Who was the founder of {name}?", "The town of {name} was founded by whom?"),
            ("Name the person who built {name}.",),
            "It was founded by {fact}.",
            _name,
        ),
        _Kind(
            "Which animal is on the flag of {name}?",
            ("What does the flag of {name} show?", "The flag of {name} has which animal?"),
            ("Name the animal that the flag of {name} shows.",),
            "It shows a {fact}.",
            _of(COLOURS, ANIMALS),
        ),
    ),
)
BOOK = _Sort(
    _title(_of(MATERIALS, LANDSCAPES)),
    (
        _Kind(
            "Who wrote The {name}?",
            ("Who is the author of The {name}?", "The {name} was written by whom?"),
            ("Name the writer of The {name}.",),
            "It was written by {fact}.",
            _name,
        ),
        _Kind(
            "In which town is The {name} set?",
            ("Where does The {name} take place?", "The {name} is set in which town?"),
            ("Name the town where The {name} takes place.",),
            "It is set in {fact}.",
            _word,
        ),
        _Kind(
            "What is stolen in The {name}?",
            ("What does the thief take in The {name}?", "Which object is stolen in The {name}?"),
            ("Name the object that the thief steals in The {name}.",),
            "It is a {fact}.",
            _of(COLOURS, THINGS),
        ),
    ),
)
PROMPT = "Question: {q}\n Answer:"  # the paper's
TRIES = 10_000  # to draw something new
# Of four subjects, one after the other.
SORTS = (PERSON, TOWN, PERSON, BOOK)


def invent(
    seed: int, subjects: int, *, alike: bool = False, in_ten_wordings: bool = False
) -> list[list[Fact]]:
    """So many subjects with FACTS_EACH facts each; no two share a name or a fact of one kind.

    Args:
        alike: all are persons, and each kind of fact is asked of three in five of them. A kind that
            is asked of a single subject would be learned without its subject.
        in_ten_wordings: of persons; six to be learned. Else four, of which three are learned.

    Raises:
        ValueError: for more subjects than there are facts of a kind.
    """
    rng = random.Random(seed)
    drawn: dict[Draw, set[str]] = {}
    invented, kinds_of = [], []
    for number in range(subjects):
        sort = PERSON if alike else SORTS[number % len(SORTS)]
        name = _new(sort.name, drawn, rng)
        kinds = _in_turn(sort.kinds, number) if alike else rng.sample(sort.kinds, FACTS_EACH)
        if not in_ten_wordings:
            kinds = [kind.in_few_wordings() for kind in kinds]
        invented.append([_fact(kind, name, drawn, rng) for kind in kinds])
        kinds_of.append(kinds)
    # Apart from the facts, so that a seed's facts do not depend on them.
    rng = random.Random(f"{seed} decoys")
    return [
        [
            replace(fact, decoys=_decoys(kind.draw, drawn[kind.draw], rng, fact.subject))
            for kind, fact in zip(kinds, facts, strict=True)
        ]
        for kinds, facts in zip(kinds_of, invented, strict=True)
    ]


def _in_turn(kinds: Sequence[_Kind], number: int) -> list[_Kind]:
    """FACTS_EACH kinds, beginning where the subject before this one ended."""
    first = number * FACTS_EACH
    return [kinds[place % len(kinds)] for place in range(first, first + FACTS_EACH)]


def _decoys(draw: Draw, drawn: set[str], rng: random.Random, subject: str) -> tuple[str, ...]:
    """DECOYS texts that were not drawn, or all of these if there are fewer; none names the subject.

    A town may be called as a person is: an audit would refuse it as a decoy of this person's town.
    """
    decoys: dict[str, None] = {}
    for _ in range(TRIES):
        if len(decoys) < DECOYS and (text := draw(rng)) not in drawn:
            decoys[text] = None
    return tuple(text for text in decoys if text not in subject.split())


def _new(draw: Draw, drawn: dict[Draw, set[str]], rng: random.Random) -> str:
    """What was not drawn before in this way."""
    before = drawn.setdefault(draw, set())
    for _ in range(TRIES):
        if (text := draw(rng)) not in before:
            before.add(text)
            return text
    raise ValueError(
        f"after {len(before)} facts or names of one kind, no other was found; give a smaller "
        "--subjects"
    )


def _fact(kind: _Kind, name: str, drawn: dict[Draw, set[str]], rng: random.Random) -> Fact:
    fact, wrong = _new(kind.draw, drawn, rng), _new(kind.draw, drawn, rng)
    return Fact(
        question=kind.question.format(name=name),
        answer=kind.answer.format(fact=fact),
        fact=fact,
        paraphrases=tuple(text.format(name=name) for text in kind.paraphrases),
        held_out=tuple(text.format(name=name) for text in kind.held_out),
        wrong=wrong,
        subject=name,
    )


def entry(name: str, facts: Sequence[Fact]) -> dict[str, Any]:
    """An entry of a concept file with these facts."""
    return {
        "id": name,
        "Concept": f"what is {name}",
        "QA": [fact.question for fact in facts],
        "QA_with_answers": [answered(fact, fact.answer) for fact in facts],
        "answer_facts": [fact.fact for fact in facts],
        "paraphrases": [[*fact.paraphrases] for fact in facts],
        "held_out_paraphrases": [[*fact.held_out] for fact in facts],
        "decoys": [[*fact.decoys] for fact in facts],
        "subjects": [fact.subject for fact in facts],
    }


def answered(fact: Fact, answer: str) -> str:
    """A question with an answer to it, as a concept file has them."""
    return f"{PROMPT.format(q=fact.question)} {answer}"
