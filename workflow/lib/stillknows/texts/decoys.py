"""Decoys: wrong facts of the form of the true one, and other subjects of the form of its subject.

The rank of the true text among n drawn ones gives p = rank / (n + 1). Such a p is exact (at most
alpha with a probability of at most alpha) under one assumption: for a model that never learned the
fact, the true text and the drawn ones are exchangeable. In other words, chance decided which of
them is the true one, and the model's training did not depend on it (Carlini et al. 2019, The Secret
Sharer, arXiv 1802.08232, where secret and decoys are drawn alike). How far this holds depends on
the rule by which the texts were made, which is therefore part of every result:

given       The user's decoys. Exact if the user drew them as the fact was drawn.
numbers     Digits are replaced by as many random ones, a year by one of the same century or so, a
            month by a month. Exact if the model holds all of these equally likely beforehand.
recombined  Words of facts of the same kind, each from the same place in its fact. Exact if the
            words of a fact are drawn independently, as those of most invented facts.
syllables   Names from syllables of names in the file. Exact for names invented in this way, up to
            the difference between the file's syllables and all. Never for names of the real world:
            a model prefers "Warsaw" to "Warlin" without knowing anything about the question.
file, file and invented
            Subjects of other questions of the same kind, then subjects made as above. Exact if a
            model that never learned the fact gives it to the true subject as to any of them. An
            invented name is less familiar than one that the model was trained on, which a small p
            may be due to if most of them are invented.
familiar    Facts of other questions of the same kind, where a question has no subject. Exact if the
            model was trained on all of them alike, and their own words make none likelier.

The same file gives the same texts, in whatever order it lists its questions.
"""

import random
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from stillknows.texts.fact_matching import mentions_fact
from stillknows.texts.questions import Question, replace_subject

GIVEN, NUMBERS, RECOMBINED, SYLLABLES = "given", "numbers", "recombined", "syllables"
FILE, FILE_AND_INVENTED = "file", "file and invented"
FAMILIAR = "familiar"
MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July", "August", "September"),
    *("October", "November", "December"),
)
_NUMBER = re.compile(rf"[0-9]+|\b(?:{'|'.join(MONTHS)})\b")
_LAST_YEAR = 2029
_VOWEL = "aeiouyáàâäãåéèêëíìîïóòôöõøúùûüýæœ"
# Of two or more consonants between vowels, the first one ends a syllable.
_SYLLABLE = re.compile(
    rf"[^{_VOWEL}]*[{_VOWEL}]+(?:[^{_VOWEL}]+$|[^{_VOWEL}](?=[^{_VOWEL}]))?", re.IGNORECASE
)
_FEWEST_NAMES = 12  # fewer names have too few syllables: those of the whole file are added
_TRIES = 50  # draws per text that is wanted

Make = Callable[[], str]


@dataclass(frozen=True)
class DrawnTexts:
    """Texts to compare the true one with, and the rule that made them (see above)."""

    texts: tuple[str, ...]
    rule: str


def draw_decoys(questions: Sequence[Question], count: int = 99) -> list[DrawnTexts]:
    """Decoys of each question's fact: all that are given, else as many as asked for.

    No drawn decoy occurs in the file. There are fewer than `count` where the form of a fact does
    not give more: with m of them, no p is below 1 / (m + 1).
    """
    draw = _drawing_from(questions)
    return [
        DrawnTexts(tuple(row.decoys), GIVEN)
        if row.decoys
        else draw(row.fact, [other.fact for other in _same_kind(row, questions)], count)
        for row in questions
    ]


def other_subjects(questions: Sequence[Question], count: int = 59) -> list[DrawnTexts | None]:
    """Other subjects of each question: those of its kind in the file, then invented ones.

    Left out are subjects for which the fact is an answer, too. None: the question has no subject.
    """
    draw = _drawing_from(questions)
    subjects = {row.subject for row in questions if row.subject}
    drawn: list[DrawnTexts | None] = []
    for row in questions:
        if row.subject is None:
            drawn.append(None)
            continue
        same_fact = {other.subject for other in questions if mentions_fact(other.answer, row.fact)}
        same_kind = {other.subject for other in _same_kind(row, questions) if other.subject}
        in_file = sorted(same_kind - same_fact)
        in_file = random.Random(row.question).sample(in_file, min(count, len(in_file)))
        invented = draw(row.subject, subjects, count - len(in_file)).texts
        others = (name for name in (*in_file, *invented) if not mentions_fact(name, row.fact))
        drawn.append(DrawnTexts(tuple(others), FILE_AND_INVENTED if invented else FILE))
    return drawn


def familiar_facts(questions: Sequence[Question], count: int = 59) -> list[DrawnTexts | None]:
    """For each question without a subject, facts of others of the same `kind`, which is given.

    Left out are facts that answer the question, too. None: the question has a subject, or no kind,
    or nothing is left. With m of them, no p is below 1 / (m + 1).
    """
    drawn: list[DrawnTexts | None] = []
    for row in questions:
        kind = _same_kind(row, questions) if row.kind and row.subject is None else []
        others = {other.fact for other in kind if not mentions_fact(row.answer, other.fact)}
        texts = random.Random(row.question).sample(sorted(others), min(count, len(others)))
        drawn.append(DrawnTexts(tuple(texts), FAMILIAR) if texts else None)
    return drawn


def _drawing_from(questions: Sequence[Question]) -> Callable[..., DrawnTexts]:
    """`_draw` with the file's text, and the words of its facts and subjects that are names."""
    corpus = "\n".join(f"{row.question}\n{row.answer}" for row in questions).casefold()
    texts = (text for row in questions for text in (row.fact, row.subject or ""))
    names = sorted({word for text in texts for word in text.split() if _is_name(word)})
    return partial(_draw, corpus=corpus, names=names)


def _is_name(word: str) -> bool:
    return word[0].isupper()


def _same_kind(row: Question, questions: Sequence[Question]) -> list[Question]:
    """The questions of a row's kind, itself included.

    Without `kind`, those that are equal but for their subjects; without `subject`, too, all for
    which neither is given.
    """

    def kind(question: Question) -> tuple[str | None, str | None]:
        if question.kind or not question.subject:
            return question.kind, None
        return None, replace_subject(question.question, question.subject, "{}")

    return [other for other in questions if kind(other) == kind(row)]


def _draw(
    text: str, same_kind: Iterable[str], count: int, *, corpus: str, names: Sequence[str]
) -> DrawnTexts:
    """Texts of the form of one, by the first rule that gives as many as are wanted.

    Args:
        same_kind: texts of which some may have the same form.
        corpus: no text occurs there; in lower case.
        names: words whose syllables may be used.
    """
    pool = sorted({*same_kind, text})
    rng = random.Random("\n".join([text, *pool]))
    rules: dict[str, Make] = {NUMBERS: _other_numbers(text, max(100, count + 1), rng)}
    if not re.search("[0-9]", text) and text not in MONTHS:
        rules = {
            RECOMBINED: _other_words(text, pool, rng),
            SYLLABLES: _other_names(text, pool, names, rng),
        }
    drawn = [DrawnTexts(_distinct(make, count, corpus), rule) for rule, make in rules.items()]
    return max(drawn, key=lambda texts: len(texts.texts))  # of equally many, the first


def _distinct(make: Make, count: int, corpus: str) -> tuple[str, ...]:
    made: dict[str, bool] = {}  # whether it is new
    for _ in range(_TRIES * count):
        text = make()
        if text not in made:
            made[text] = text.casefold() not in corpus
            if sum(made.values()) == count:
                break
    return tuple(text for text, is_new in made.items() if is_new)


def _other_words(text: str, pool: Sequence[str], rng: random.Random) -> Make:
    """Words of texts of the same form, each from the same place."""
    form = [*map(_is_name, text.split())]
    alike = [words for words in map(str.split, pool) if [*map(_is_name, words)] == form]
    places = [sorted(set(words)) for words in zip(*alike, strict=True)]
    return lambda: " ".join(map(rng.choice, places))


def _other_names(text: str, pool: Sequence[str], names: Sequence[str], rng: random.Random) -> Make:
    """The text with other names in it: as many syllables, each from the same place in a name.

    A name of one syllable is replaced by another such name.
    """
    own = [word for other in pool for word in other.split() if _is_name(word)]
    # Of all names, the syllables by their place: the only one, the first, between, the last.
    only, first, inner, last = (list[str]() for _ in range(4))
    for word in own if len(set(own)) >= _FEWEST_NAMES else [*own, *names]:
        match _SYLLABLE.findall(word.lower()):
            case [syllable]:
                only.append(syllable)
            case [start, *between, end]:
                first.append(start)
                inner += between
                last.append(end)

    def invent(word: str) -> str:
        syllables = _SYLLABLE.findall(word.lower())
        if not _is_name(word) or not syllables:
            return word
        if len(syllables) == 1:
            return rng.choice(only).capitalize()
        places = [first, *[inner] * (len(syllables) - 2), last]
        return "".join(map(rng.choice, places)).capitalize()

    return lambda: " ".join(map(invent, text.split()))


def _other_numbers(text: str, width: int, rng: random.Random) -> Make:
    """The text with other numbers and months in it.

    A year lies at a random place of the range of years that others are drawn from: if all were
    around the true one, it would be special among them.
    """
    has_month = any(month in text for month in MONTHS)
    offset = rng.randrange(width)

    def other(match: re.Match[str]) -> str:
        number = match.group()
        if number in MONTHS:
            return rng.choice(MONTHS)
        if len(number) == 4 and 1000 <= int(number) <= _LAST_YEAR:
            first = min(int(number) - offset, _LAST_YEAR + 1 - width)
            return str(rng.randrange(first, first + width))
        if has_month and len(number) <= 2:
            return str(rng.randint(1, 28))
        if number[0] == "0" or text[: match.start()].endswith((",", ".")):
            return "".join(rng.choices("0123456789", k=len(number)))
        return str(rng.randrange(10 ** (len(number) - 1), 10 ** len(number)))

    return lambda: _NUMBER.sub(other, text)
