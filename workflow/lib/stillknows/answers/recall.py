"""Ask a model for the facts of a concept; then teach it half of them, and ask again."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from stillknows.answers.generate import answers_of as generated
from stillknows.answers.original_answers import load_model
from stillknows.answers.prompts import Asked
from stillknows.answers.recall_settings import HELD_OUT, RETAINED
from stillknows.models.tokenizer import load_tokenizer
from stillknows.terms import AS_IT_IS, RELEARNED
from stillknows.texts.fact_matching import mentions_fact
from stillknows.texts.prompts import encode_prompt, render
from stillknows.texts.wordings import HELD_OUT_PARAPHRASES, PARAPHRASES, reworded
from stillknows.training.scoring import pad_of
from stillknows.training.teaching import Lessons
from stillknows.training.texts import Material, answers_of
from stillknows.training.train import train
from stillknows.training.unlearn import load_model as load_for_training

log = logging.getLogger("stillknows")
Concept = Mapping[str, Any]
_TAUGHT = ("QA", "QA_with_answers", PARAPHRASES)  # of a concept; each has an item per question


def recall(
    folder: Path,
    concept: Concept,
    wordings: Sequence[str],
    *,
    prompt: str,
    new_tokens: int,
    relearning: Lessons | None,
    seed: int,
    dtype: torch.dtype,
    device: torch.device,
    retained: Sequence[Concept] = (),
) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """What a checkpoint answers to the questions that have a fact, and whether it is the fact.

    Args:
        concept: with answer_facts, null for questions that are left out.
        wordings: those of answers.recall_settings.
        relearning: how the questions with even numbers are then taught, in a copy that is not kept;
            all are asked again. None: they are not.
        retained: concepts of which only the held-out wordings are asked, and not after relearning.
        dtype: of the answers as it is; those after relearning come in the training's own.

    Returns:
        the columns of RECALL_SCHEMA from `stage` on, a row per stage, wording and question; and
        the log of the relearning, as `train` returns it.
    """
    tokenizer = load_tokenizer(folder)
    questions = [
        one for wording in wordings for one in _questions(concept, wording, prompt, tokenizer)
    ]
    model = load_model(folder, dtype, device)
    stages = {AS_IT_IS: _ask(model, tokenizer, questions, new_tokens)}
    kept = [
        one | {"wording": RETAINED, "relearned": False}
        for other in retained
        for one in _questions(other, HELD_OUT, prompt, tokenizer)
    ]
    # Apart, so that the answers above do not depend on what else is asked.
    of_retained = [_ask(model, tokenizer, kept, new_tokens).assign(stage=AS_IT_IS)] if kept else []
    training = None
    if relearning is not None:
        model = load_for_training(folder, relearning, str(device))
        training = _relearn(model, tokenizer, concept, relearning, prompt, seed, str(device))
        stages[RELEARNED] = _ask(model, tokenizer, questions, new_tokens)
    for stage, rows in stages.items():
        log.info(f"{stage}: {rows['has_fact'].mean():.2f} of {len(rows)} answers have the fact")
    of_stages = [rows.assign(stage=stage) for stage, rows in stages.items()]
    return pd.concat([*of_stages, *of_retained]), training


def _questions(concept: Concept, wording: str, prompt: str, tokenizer: Any) -> list[dict[str, Any]]:
    """The questions of one wording that have a fact: columns of RECALL_SCHEMA, and their ids."""
    numbers = list(range(len(concept["QA"])))
    if wording == HELD_OUT:
        texts = concept.get(HELD_OUT_PARAPHRASES) or ()
        numbers = [number for number, each in enumerate(texts) for _ in each]
        concept = reworded(concept, HELD_OUT_PARAPHRASES, prompt, tokenizer)
    facts = concept.get("answer_facts") or [None] * len(numbers)
    rendered = [render(question, prompt, tokenizer) for question in concept["QA"]]
    return [
        {"wording": wording, "question": number, "prompt": text, "fact": fact}
        | {"ids": tuple(encode_prompt(text, prompt, tokenizer)), "relearned": number % 2 == 0}
        for number, text, fact in zip(numbers, rendered, facts, strict=True)
        if fact
    ]


def _ask(
    model: Any, tokenizer: Any, questions: Sequence[dict[str, Any]], new_tokens: int
) -> pd.DataFrame:
    """The questions with the model's greedy answers."""
    asked = [Asked(one["wording"], one["question"], one["prompt"], one["ids"]) for one in questions]
    answers = generated(model, tokenizer, asked, new_tokens)
    rows = pd.DataFrame(questions).drop(columns="ids").assign(answer=answers)
    has_fact = [
        mentions_fact(answer, fact) for answer, fact in zip(answers, rows["fact"], strict=True)
    ]
    return rows.assign(has_fact=has_fact)


def _relearn(
    model: Any,
    tokenizer: Any,
    concept: Concept,
    recipe: Lessons,
    prompt: str,
    seed: int,
    device: str,
) -> pd.DataFrame:
    """Teach the model, in place, the answers to the questions with even numbers."""
    half = {key: concept[key][::2] for key in _TAUGHT if concept.get(key)}
    half |= {key: concept[key] for key in ("id", "Concept")}
    texts = answers_of(half, tokenizer, prompt=prompt, max_length=recipe.max_length)
    return train(
        model,
        Material([], texts, []),
        recipe,
        steps=recipe.steps(len(texts)),
        pad=pad_of(tokenizer),
        seed=seed,
        device=device,
    )
