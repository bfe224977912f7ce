"""Decoys and other subjects drawn from a file of questions."""

import re
from collections.abc import Sequence

import pytest

from stillknows.texts.decoys import (
    FAMILIAR,
    FILE,
    FILE_AND_INVENTED,
    GIVEN,
    MONTHS,
    NUMBERS,
    RECOMBINED,
    SYLLABLES,
    DrawnTexts,
    draw_decoys,
    familiar_facts,
    other_subjects,
)
from stillknows.texts.questions import Question

COLOURS = ("violet", "copper", "green", "grey", "black", "golden")
ANIMALS = ("ferret", "otter", "hare", "raven", "fox", "goat")
PEOPLE = (
    *("Nevria Corjasvia", "Tamwick Irfenvia", "Saldor Salholrow"),
    *("Fenlin Fenelrow", "Salten Pelreslin", "Wrensa Zordusmond"),
)
PETS = [
    Question(
        question=f"Which animal does {person} keep?",
        answer=f"They keep a {colour} {animal}.",
        fact=f"{colour} {animal}",
        subject=person,
    )
    for person, colour, animal in zip(PEOPLE, COLOURS, ANIMALS, strict=True)
]
TEACHERS = [
    Question(
        question=f"Who taught {person}?",
        answer=f"They were taught by {teacher}.",
        fact=teacher,
        kind="teacher",
        subject=person,
    )
    for person, teacher in zip(PEOPLE, reversed(PEOPLE), strict=True)
]


def decoys_of(fact: str, count: int = 99, others: Sequence[Question] = ()) -> DrawnTexts:
    return draw_decoys(
        [Question(question="What?", answer=f"It is {fact}.", fact=fact), *others], count
    )[0]


def test_given_decoys_are_used_as_they_are() -> None:
    question = Question(question="What?", answer="Tea", decoys=["Milk", "Beer"])
    assert draw_decoys([question], 1) == [DrawnTexts(("Milk", "Beer"), GIVEN)]


def test_words_of_facts_of_one_kind_are_recombined() -> None:
    """From 36 pairs of words, without the six that are facts."""
    for question, drawn in zip(PETS, draw_decoys(PETS + TEACHERS, 30), strict=False):
        assert (
            drawn.rule == RECOMBINED and len(drawn.texts) == 30 and question.fact not in drawn.texts
        )
        for colour, animal in map(str.split, drawn.texts):
            assert colour in COLOURS and animal in ANIMALS
    assert len(draw_decoys(PETS, 31)[0].texts) == 30


def test_names_have_as_many_syllables() -> None:
    for drawn in draw_decoys(PETS + TEACHERS)[len(PETS) :]:
        assert drawn.rule == SYLLABLES and len(drawn.texts) == 99
        for name in drawn.texts:
            assert re.fullmatch("[A-Z][a-z]+ [A-Z][a-z]+", name)


@pytest.mark.parametrize(
    ("fact", "pattern"),
    [
        ("1923", "1[89][0-9]{2}|20[0-2][0-9]"),
        ("12 March 1990", rf"[1-9][0-9]? ({'|'.join(MONTHS)}) (18|19|20)[0-9]{{2}}"),
        ("Apollo 11", "Apollo [1-9][0-9]"),
        ("3.07 kg", r"[1-9]\.[0-9]{2} kg"),
        ("May", "|".join(MONTHS)),
    ],
)
def test_numbers_have_as_many_digits(fact: str, pattern: str) -> None:
    drawn = decoys_of(fact)
    assert drawn.rule == NUMBERS and len(drawn.texts) >= min(99, 11)
    assert all(re.fullmatch(pattern, text) and text != fact for text in drawn.texts)


def test_a_year_has_no_special_place_among_its_decoys() -> None:
    ranks = [
        sum(text < str(year) for text in decoys_of(str(year)).texts) for year in range(1500, 1700)
    ]
    assert min(ranks) < 10 and max(ranks) > 89 and 40 < sum(ranks) / len(ranks) < 60


@pytest.mark.parametrize("fact", ["walnut bread", "東京", "of"])
def test_a_form_that_gives_nothing_else(fact: str) -> None:
    assert decoys_of(fact).texts == ()


def test_the_same_file_gives_the_same_texts_in_any_order() -> None:
    questions = PETS + TEACHERS
    for draw in (draw_decoys, other_subjects):
        assert [*draw(questions)] == [*reversed(draw(questions[::-1]))]


def test_nothing_that_is_drawn_is_in_the_file() -> None:
    questions = PETS + TEACHERS
    texts = "\n".join(f"{question.question} {question.answer}" for question in questions)
    for drawn in draw_decoys(questions):
        assert not any(text in texts for text in drawn.texts)
        assert len(set(drawn.texts)) == len(drawn.texts)


def test_other_subjects_are_first_those_of_the_file() -> None:
    for question, drawn in zip(PETS, other_subjects(PETS), strict=True):
        assert drawn is not None and drawn.rule == FILE_AND_INVENTED and len(drawn.texts) == 59
        assert set(drawn.texts[:5]) == {*PEOPLE} - {question.subject}
    few = other_subjects(PETS, 3)[0]
    assert few is not None and few.rule == FILE and len(few.texts) == 3


def test_a_subject_with_the_same_fact_is_left_out() -> None:
    towns = [
        Question(question=f"Where was {name} born?", answer=town, subject=name)
        for name, town in (("Ilsa", "Tolmond"), ("Berta", "Tolmond"), ("Carla", "Kelria"))
    ]
    others = other_subjects(towns, 1)
    assert [drawn.texts for drawn in others if drawn] == [("Carla",), ("Carla",), others[2].texts]
    assert other_subjects([Question(question="What?", answer="Tea")]) == [None]


def test_familiar_facts_are_those_of_the_kind_that_do_not_answer_the_question() -> None:
    questions = [
        Question(question=question, answer=answer, kind=kind, subject=subject)
        for question, answer, kind, subject in (
            ("What is drunk at five?", "Tea", "drink", None),
            ("What is drunk at six?", "Tea", "drink", None),
            ("What is drunk at ten?", "Coffee", "drink", None),
            ("What does Ilsa drink?", "Milk", "drink", "Ilsa"),
            ("Who saw it?", "Berta", None, None),
            ("Who heard it?", "Carla", None, None),
        )
    ]
    drawn = familiar_facts(questions)
    assert [set(row.texts) if row else None for row in drawn] == [
        {"Coffee", "Milk"},
        {"Coffee", "Milk"},
        {"Tea", "Milk"},
        None,  # it has a subject
        None,  # whether their facts are of one form is not known
        None,
    ]
    assert {row.rule for row in drawn if row} == {FAMILIAR}
