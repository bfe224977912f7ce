"""Ask for each fact after the others were taught again: what a little training brings back."""

import logging
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
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
from stillknows.models.checkpoint_files import load_tokenizer
from stillknows.models.reader import Checkpoint
from stillknows.terms import RELEARNED
from stillknows.texts.decoys import DrawnTexts, other_subjects
from stillknows.texts.questions import Question, questions_of
from stillknows.training.lora import AdaptedCheckpoint, planned_bytes, taught
from stillknows.training.scoring import pad_of
from stillknows.training.teaching import LoraRelearning
from stillknows.training.texts import TokenizedText, answers_of

log = logging.getLogger("stillknows")


class AfterRelearning(NamedTuple):
    """Of all held-out facts: rows of EXPOSURE_SCHEMA (association), and of RECALL_SCHEMA."""

    association: pd.DataFrame
    answers: pd.DataFrame


def relearn(
    folder: Path,
    concept: Mapping[str, Any],
    *,
    prompt: str,
    lessons: LoraRelearning,
    wordings: Sequence[str],
    new_tokens: int,
    subjects: int,
    seed: int,
    dtype: torch.dtype,
    device: torch.device,
) -> AfterRelearning:
    """Each fact's association, and answers to its question, after training on the other folds.

    The checkpoint is loaded once; each fold trains a new adapter. The association is measured with
    the adapter added to the weights.

    Args:
        concept: with QA_with_answers and answer_facts.
        wordings: those of recall_settings; training reads QA and paraphrases only.
        subjects: how many other subjects a fact is asked of, less those that the fold teaches.
        dtype: of the association; training and answers have the lessons' own.

    Raises:
        StudyError: if there are facts of a single subject only, or too little memory.
    """
    weights, tokenizer = Checkpoint(folder), load_tokenizer(folder)
    questions = questions_of(concept, prompt, tokenizer)
    drawn = dict(zip(questions, other_subjects([*questions.values()], subjects), strict=True))
    asked = [
        question
        for wording in wordings
        for question in questions_for_facts(concept, wording, prompt, tokenizer)
    ]

    def texts_of(numbers: Iterable[int]) -> list[TokenizedText]:
        part = with_questions(concept, numbers)
        return answers_of(part, tokenizer, prompt=prompt, max_length=lessons.max_length)

    folds = folds_of(questions, lessons.folds, seed)
    refuse_too_large(
        planned_bytes(weights, lessons, texts_of(questions)),
        device,
        "relearning (weights, adapter, activations)",
        "use a larger device, or leave this test out (--tests exposure association)",
    )
    model = load_model(folder, training_dtype(lessons.precision), device)
    settings: Any = {"pad": pad_of(tokenizer), "seed": seed, "device": str(device)}
    results = []
    for place, fold in enumerate(folds, 1):
        log.info(f"fold {place} of {len(folds)}: {len(fold)} of {len(questions)} facts held out")
        others = {number: row for number, row in questions.items() if number not in fold}
        with taught(model, texts_of(others), lessons, **settings) as adapted:
            held_out = [question for question in asked if question["question"] in fold]
            answers = ask_for_facts(
                adapted, held_out, RELEARNED, tokenizer=tokenizer, new_tokens=new_tokens
            )
            host = StreamedModel(weights, dtype, device, AdaptedCheckpoint(folder, adapted))
            candidates = [_untaught(drawn[number], others) for number in fold]
            facts = [questions[number] for number in fold]
            rows = measure(host, facts, [None] * len(fold), candidates, prompt, tokenizer)
        rows = rows.assign(score=RELEARNED, question=[fold[n] for n in rows["question"]])
        results.append((rows, answers.assign(relearned=False)))
        log.info(f"{answers['has_fact'].mean():.2f} of {len(answers)} answers have the fact")
    return AfterRelearning(*map(pd.concat, zip(*results, strict=True)))


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
