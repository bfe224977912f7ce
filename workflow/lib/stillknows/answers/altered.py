"""Ask a copy for each fact after something was done to it that brings hidden knowledge back.

relearned: the other facts were taught again. benign: it was trained on texts that it should retain.
quantised: its weights were rounded to few bits. None of them tells the copy a fact that it is then
asked for, so the p-values of association are as exact as before.
"""

import logging
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import torch

from stillknows.answers.generate import load_model
from stillknows.answers.recall import ask_for_facts, questions_for_facts, with_questions
from stillknows.device import refuse_too_large, training_dtype
from stillknows.engine.exposure import measure
from stillknows.engine.streamed_model import StreamedModel
from stillknows.errors import StudyError
from stillknows.models import reader
from stillknows.models.reader import Checkpoint
from stillknows.models.rounded import RoundedCheckpoint
from stillknows.texts.decoys import DrawnTexts, other_subjects
from stillknows.texts.questions import Question, questions_of
from stillknows.training.lora import AdaptedCheckpoint, planned_bytes, taught
from stillknows.training.scoring import pad_of
from stillknows.training.teaching import LoraRelearning
from stillknows.training.texts import TokenizedText, answers_of

log = logging.getLogger("stillknows")


class Answered(NamedTuple):
    """Of all facts: rows of EXPOSURE_SCHEMA (association), and of RECALL_SCHEMA."""

    association: pd.DataFrame
    answers: pd.DataFrame


class Altered(NamedTuple):
    """A copy after an alteration.

    Attributes:
        model: whole.
        layers: the checkpoint from which the altered layers are read.
        asked: the numbers of the questions that it is asked.
        taught: the questions whose answers it was told.
    """

    model: Any
    layers: Checkpoint
    asked: Sequence[int]
    taught: Mapping[int, Question]


@dataclass(frozen=True)
class Copy:
    """A copy and the concept that it unlearned.

    Attributes:
        concept: with QA_with_answers and answer_facts.
        dtype: of the association, and of rounded weights; training has the lessons' own.
    """

    folder: Path
    tokenizer: Any
    concept: Mapping[str, Any]
    prompt: str
    dtype: torch.dtype
    device: torch.device

    @cached_property
    def checkpoint(self) -> Checkpoint:
        return Checkpoint(self.folder)

    @cached_property
    def questions(self) -> dict[int, Question]:
        """Those that have a fact, by their numbers."""
        return questions_of(self.concept, self.prompt, self.tokenizer)

    def answers_of(self, concepts: Iterable[Mapping[str, Any]], length: int) -> list[TokenizedText]:
        """Answers to train on, of at most `length` tokens with their questions."""
        settings: Any = {"tokenizer": self.tokenizer, "prompt": self.prompt, "max_length": length}
        return [text for concept in concepts for text in answers_of(concept, **settings)]


def ask_altered(
    copy: Copy,
    alteration: str,
    copies: Iterable[Altered],
    *,
    wordings: Sequence[str],
    new_tokens: int,
    subjects: int,
) -> Answered:
    """Each fact's association, and answers to its question, after an alteration of the copy.

    Args:
        alteration: one of ALTERATIONS: the name in the tables.
        copies: from `relearned`, `benign` or `quantised`.
        wordings: those of recall_settings; training reads QA and paraphrases only.
        subjects: how many other subjects a fact is asked of, less those that were taught.
    """
    questions = copy.questions
    drawn = dict(zip(questions, other_subjects([*questions.values()], subjects), strict=True))
    asked = questions_for_facts(copy.concept, wordings, copy.prompt, copy.tokenizer)
    results = []
    for altered in copies:
        numbers = list(altered.asked)
        log.info(f"{alteration}: asking for {len(numbers)} of {len(questions)} facts")
        answers = ask_for_facts(
            altered.model,
            [question for question in asked if question["question"] in numbers],
            alteration,
            tokenizer=copy.tokenizer,
            new_tokens=new_tokens,
        )
        host = StreamedModel(copy.checkpoint, copy.dtype, copy.device, altered.layers)
        candidates = [_untaught(drawn[number], altered.taught) for number in numbers]
        facts, no_decoys = [questions[number] for number in numbers], [None] * len(numbers)
        rows = measure(host, facts, no_decoys, candidates, copy.prompt, copy.tokenizer)
        rows = rows.assign(score=alteration, question=[numbers[n] for n in rows["question"]])
        results.append((rows, answers.assign(relearned=False)))
        log.info(f"{answers['has_fact'].mean():.2f} of {len(answers)} answers have the fact")
    return Answered(*map(pd.concat, zip(*results, strict=True)))


def quantised(copy: Copy, bits: int) -> Iterator[Altered]:
    """The copy with weights of few bits in its layers."""
    weights = RoundedCheckpoint(copy.folder, bits)
    model = reader.load_model(weights, copy.dtype, copy.device)
    yield Altered(model, weights, [*copy.questions], {})


def benign(
    copy: Copy, retained: Sequence[Mapping[str, Any]], lessons: LoraRelearning, seed: int
) -> Iterator[Altered]:
    """The copy with an adapter that was trained on answers of concepts that it should retain."""
    texts = copy.answers_of(retained, lessons.max_length)
    for adapted, layers in _adapted(copy, [texts], lessons, seed):
        yield Altered(adapted, layers, [*copy.questions], {})


def relearned(copy: Copy, lessons: LoraRelearning, seed: int) -> Iterator[Altered]:
    """The copy for each fold of the facts, with an adapter that was trained on the other folds.

    Raises:
        StudyError: if there are facts of a single subject only.
    """
    questions = copy.questions
    folds = folds_of(questions, lessons.folds, seed)
    others = [{n: row for n, row in questions.items() if n not in fold} for fold in folds]
    parts = [with_questions(copy.concept, part) for part in others]
    texts = [copy.answers_of([part], lessons.max_length) for part in parts]
    copies = zip(folds, others, _adapted(copy, texts, lessons, seed), strict=True)
    for fold, taught_ones, (adapted, layers) in copies:
        yield Altered(adapted, layers, fold, taught_ones)


def _adapted(
    copy: Copy, lists: Sequence[Sequence[TokenizedText]], lessons: LoraRelearning, seed: int
) -> Iterator[tuple[Any, Checkpoint]]:
    """The copy with a new adapter for each list of texts, and the checkpoint of its layers.

    The copy is loaded once. A StudyError if there is too little memory.
    """
    refuse_too_large(
        planned_bytes(copy.checkpoint, lessons, [*chain(*lists)]),
        copy.device,
        "training an adapter (weights, adapter, activations)",
        "use a larger device, or leave this test out (--tests exposure association)",
    )
    model = load_model(copy.folder, training_dtype(lessons.precision), copy.device)
    settings: Any = {"pad": pad_of(copy.tokenizer), "seed": seed, "device": str(copy.device)}
    for place, texts in enumerate(lists, 1):
        log.info(f"adapter {place} of {len(lists)}: {len(texts)} texts")
        with taught(model, texts, lessons, **settings) as adapted:
            yield adapted, AdaptedCheckpoint(copy.folder, adapted)


def folds_of(questions: Mapping[int, Question], count: int, seed: int) -> list[list[int]]:
    """The numbers of questions in at most `count` parts of similar size, by the seed.

    Questions of one subject are in one part; without a subject, each stands for itself.

    Raises:
        StudyError: if all have the same subject.
    """
    groups: dict[Any, list[int]] = {}
    for number, question in questions.items():
        groups.setdefault(question.subject or number, []).append(number)
    if len(groups) < 2:
        raise StudyError(
            "relearning needs questions about at least two subjects, of which one is taught when "
            "the other is asked for; add questions, or leave the test relearned out"
        )
    shuffled = random.Random(seed).sample([*groups.values()], len(groups))
    folds: list[list[int]] = [[] for _ in range(min(count, len(groups)))]
    for group in sorted(shuffled, key=len, reverse=True):
        min(folds, key=len).extend(group)
    return [sorted(fold) for fold in folds]


def _untaught(drawn: DrawnTexts | None, taught: Mapping[int, Question]) -> DrawnTexts | None:
    """Other subjects, less those that are taught.

    A model learns to say other facts of them, so they would make the true subject's rank too good.
    """
    if drawn is None:
        return None
    subjects = {question.subject for question in taught.values()}
    return replace(drawn, texts=tuple(text for text in drawn.texts if text not in subjects))
