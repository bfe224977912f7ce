"""A teaching: load the base, train it on answers, say how it went."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stillknows.models.checkpoint_files import load_tokenizer
from stillknows.training.scoring import mean_nll, measure, pad_of
from stillknows.training.teaching import Teaching
from stillknows.training.texts import Material, answers_of
from stillknows.training.train import train
from stillknows.training.unlearn import Concept, Trained, load_model

log = logging.getLogger("stillknows")


def teach(
    base: Path,
    concepts: Sequence[Concept],
    *,
    recipe: Teaching,
    prompt: str,
    seed: int,
    device: str,
) -> Trained:
    """Train a copy of the checkpoint in the folder `base` on all answers of the concepts."""
    tokenizer = load_tokenizer(base)
    settings: Any = {"tokenizer": tokenizer, "prompt": prompt, "max_length": recipe.max_length}
    texts = [text for concept in concepts for text in answers_of(concept, **settings)]
    model = load_model(base, recipe, device)
    run: Any = {"steps": recipe.steps(len(texts)), "pad": pad_of(tokenizer), "seed": seed}
    steps = train(model, Material([], texts, []), recipe, device=device, **run)
    nll = mean_nll(measure(model, texts, run["pad"]), texts)
    message = f"taught {len(texts)} answers; their NLL is {nll:.4f} nats per token"
    log.info(message)
    training = {"recipe": recipe.model_dump(), "seed": seed, "message": message, "nll": nll}
    training["steps"] = int(steps["step"].iloc[-1])
    return Trained(model, tokenizer, steps, training)
