"""Ask a model for the facts of a concept; then teach it half of them, and ask again."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from stillknows.answers.generate import generate_answers, load_model
from stillknows.answers.recall_settings import HELD_OUT, RETAINED
from stillknows.terms import AS_IT_IS, RELEARNED, SAMPLES
from stillknows.texts.fact_matching import mentions_fact
from stillknows.texts.prompts import (
    HELD_OUT_PARAPHRASES,
    PARAPHRASES,
    encode_prompt,
    render,
    reworded,
)
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
    tokenizer: Any,
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
        wordings: those of recall_settings.
        relearning: how the questions with even numbers are then taught, in a copy that is not kept;
            all are asked again. None: they are not.
        retained: concepts of which only the held-out wordings are asked, and not after relearning.
        dtype: of the answers as it is; those after relearning come in the training's own.

    Returns:
        the columns of RECALL_SCHEMA from `stage` on, a row per stage, wording and question; and
        the log of the relearning, as `train` returns it.
    """
    ask = partial(ask_for_facts, tokenizer=tokenizer, new_tokens=new_tokens)
    questions = questions_for_facts(concept, wordings, prompt, tokenizer)
    retained_questions = [
        question | {"wording": RETAINED, "relearned": False}
        for other in retained
        for question in questions_for_facts(other, [HELD_OUT], prompt, tokenizer)
    ]
    model = load_model(folder, dtype, device)
    stages = [ask(model, questions, AS_IT_IS)]
    # Separately, so that the answers above do not depend on what else is asked.
    others = [ask(model, retained_questions, AS_IT_IS)] if retained_questions else []
    training = None
    if relearning is not None:
        model = load_for_training(folder, relearning, str(device))
        half = with_questions(concept, range(0, len(concept["QA"]), 2))
        texts = answers_of(half, tokenizer, prompt=prompt, max_length=relearning.max_length)
        training = train(
            model,
            Material([], texts, []),
            relearning,
            steps=relearning.steps(len(texts)),
            pad=pad_of(tokenizer),
            seed=seed,
            device=str(device),
        )
        stages.append(ask(model, questions, RELEARNED))
    for rows in stages:
        stage, share = rows["stage"].iloc[0], rows["has_fact"].mean()
        log.info(f"{stage}: {share:.2f} of {len(rows)} answers have the fact")
    return pd.concat([*stages, *others]), training


def sampled_recall(
    folder: Path,
    tokenizer: Any,
    concept: Concept,
    *,
    prompt: str,
    wordings: Sequence[str],
    new_tokens: int,
    samples: int,
    seed: int,
    dtype: torch.dtype,
    device: torch.device,
) -> pd.DataFrame:
    """As `recall`, but with so many sampled answers to each question, each a row; stage `samples`.

    Answers depend on the seed, and on the device and the number format too.
    """
    questions = questions_for_facts(concept, wordings, prompt, tokenizer)
    repeated = [question for question in questions for _ in range(samples)]
    model = load_model(folder, dtype, device)
    ask: Any = {"tokenizer": tokenizer, "new_tokens": new_tokens, "sampled": True}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        rows = ask_for_facts(model, repeated, SAMPLES, **ask)
    log.info(f"{rows['has_fact'].mean():.3f} of {len(rows)} sampled answers have the fact")
    return rows.assign(relearned=False)


def ask_for_facts(
    model: Any,
    questions: Sequence[dict[str, Any]],
    stage: str,
    *,
    tokenizer: Any,
    new_tokens: int,
    sampled: bool = False,
) -> pd.DataFrame:
    """Greedy (or sampled) answers to `questions_for_facts`, and whether they have the fact."""
    ids = [question["ids"] for question in questions]
    answers = generate_answers(model, tokenizer, ids, new_tokens, sampled=sampled)
    rows = pd.DataFrame(questions).drop(columns="ids").assign(stage=stage, answer=answers)
    pairs = zip(answers, rows["fact"], strict=True)
    return rows.assign(has_fact=[mentions_fact(answer, fact) for answer, fact in pairs])


def facts_said(rows: pd.DataFrame, stage: str) -> str:
    """How many facts the answers of a stage have, in whatever wording, in words."""
    asked = rows[(rows["stage"] == stage) & (rows["wording"] != RETAINED)]
    facts = asked.groupby("question")["has_fact"].any()
    text = f"{facts.sum()} of {len(facts)} facts"
    retained = rows.loc[rows["wording"] == RETAINED, "has_fact"]
    return f"{text}, {retained.sum()} of {len(retained)} retained ones" if len(retained) else text


def with_questions(concept: Concept, numbers: Iterable[int]) -> Concept:
    """A concept with some of its questions, their answers and their paraphrases."""
    numbers = list(numbers)
    taught = {key: [concept[key][n] for n in numbers] for key in _TAUGHT if concept.get(key)}
    return taught | {key: concept[key] for key in ("id", "Concept")}


def questions_for_facts(
    concept: Concept, wordings: Sequence[str], prompt: str, tokenizer: Any
) -> list[dict[str, Any]]:
    """The questions that have a fact, wording by wording: columns of RECALL_SCHEMA, and ids."""
    parts = (_in_wording(concept, wording, prompt, tokenizer) for wording in wordings)
    return [*chain(*parts)]


def _in_wording(
    concept: Concept, wording: str, prompt: str, tokenizer: Any
) -> list[dict[str, Any]]:
    numbers = list(range(len(concept["QA"])))
    if wording == HELD_OUT:
        paraphrases = concept.get(HELD_OUT_PARAPHRASES) or ()
        numbers = [number for number, texts in enumerate(paraphrases) for _ in texts]
        concept = reworded(concept, HELD_OUT_PARAPHRASES, prompt, tokenizer)
    facts = concept.get("answer_facts") or [None] * len(numbers)
    rendered = [render(question, prompt, tokenizer) for question in concept["QA"]]
    return [
        {
            "wording": wording,
            "question": number,
            "prompt": text,
            "fact": fact,
            "ids": encode_prompt(text, prompt, tokenizer),
            "relearned": number % 2 == 0,
        }
        for number, text, fact in zip(numbers, rendered, facts, strict=True)
        if fact
    ]
