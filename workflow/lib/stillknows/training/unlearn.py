"""An unlearning: load the original, train, check, say how it went; and how trainings are saved."""

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from stillknows.device import choose_device, refuse_too_large, training_dtype
from stillknows.files import atomic_folder, atomic_path
from stillknows.models import reader
from stillknows.models.checkpoint_files import load_tokenizer
from stillknows.models.checkpoint_row import CheckpointRow
from stillknows.models.manifest import write_manifest
from stillknows.training import check
from stillknows.training.recipe import TRAINING_FACTOR, Optimisation, Recipe
from stillknows.training.scoring import pad_of
from stillknows.training.texts import Material, TokenizedText, answers_of, paragraphs_of
from stillknows.training.train import parameters_of, train

log = logging.getLogger("stillknows")
Concept = Mapping[str, Any]


class Trained(NamedTuple):
    """A trained model, its training log (train.COLUMNS), and the manifest's `training`."""

    model: Any
    tokenizer: Any
    log: pd.DataFrame
    training: dict[str, Any]


def unlearn(
    start: Path,
    concept: Concept,
    retain: Sequence[Concept],
    held_out: Sequence[Concept],
    *,
    recipe: Recipe,
    prompt: str,
    seed: int,
    device: str,
    tokenizer_folder: Path | None = None,
) -> Trained:
    """Train a copy of the checkpoint in the folder `start` that unlearns `concept`.

    That a concept was not unlearned is no error: a warning says so, as does training["message"].
    """
    tokenizer = load_tokenizer(tokenizer_folder or start)
    pad = pad_of(tokenizer)
    settings: Any = {"tokenizer": tokenizer, "prompt": prompt, "max_length": recipe.max_length}

    def texts_of(entries: Sequence[Concept]) -> list[TokenizedText]:
        of_recipe = answers_of if recipe.texts == "answers" else paragraphs_of
        return [text for entry in entries for text in of_recipe(entry, **settings)]

    if recipe.answer is None:
        forget = texts_of([concept])
    else:
        forget = answers_of(concept, answer=recipe.answer, **settings)
    material = Material(forget, texts_of(retain), texts_of(held_out))
    entries = {str(entry["id"]): entry for entry in (*retain, *held_out, concept)}
    answers = check.answers_of(entries, tokenizer, prompt)
    model = load_model(start, recipe, device)
    before = check.answers_nll(model, answers, pad)
    steps = train(model, material, recipe, steps=recipe.steps, pad=pad, seed=seed, device=device)
    after = check.answers_nll(model, answers, pad)
    changes = {key: check.Change(before[key], after[key]) for key in answers}
    training = {"recipe": recipe.model_dump(), "seed": seed}
    training |= _outcome(steps, str(concept["id"]), changes)
    return Trained(model, tokenizer, steps, training)


def load_model(folder: Path, recipe: Optimisation, device: str) -> Any:
    """A checkpoint as a whole model on its device, in the dtype that its weights train in.

    As published, precision bf16 trains bfloat16 weights; the others train float32 weights. A
    StudyError if the device has less memory free than the training holds: all weights, and
    gradients and AdamW's two moments of those that the recipe trains.
    """
    dtype = training_dtype(recipe.precision)
    checkpoint, where = reader.Checkpoint(folder), choose_device(device)
    shapes = checkpoint.shapes
    names = parameters_of(recipe.modules, [*shapes], checkpoint.config.model_type)
    weights, trained = (sum(math.prod(shapes[name]) for name in among) for among in (shapes, names))
    refuse_too_large(
        dtype.itemsize * (weights + (TRAINING_FACTOR - 1) * trained),
        where,
        f"training {trained / 1e6:.0f} of {weights / 1e6:.0f} million weights as "
        f"{str(dtype).removeprefix('torch.')} (all weights, gradients and AdamW's two moments of "
        "the trained ones; activations come on top)",
        "use a larger device, or a checkpoint that was unlearned elsewhere (path:)",
    )
    return reader.load_model(checkpoint, dtype, where)


def _outcome(
    steps: pd.DataFrame, concept: str, changes: Mapping[str, check.Change]
) -> dict[str, Any]:
    """What the manifest says of the outcome; the log says it too."""
    others = {key: change for key, change in changes.items() if key != concept}
    unlearned, message = check.judge(changes[concept], others)
    log.log(logging.INFO if unlearned else logging.WARNING, message)
    first, last = steps.iloc[0], steps.iloc[-1]
    nlls = {
        name: {"before": float(first[name]), "after": float(last[name])}
        for name in ("nll_forget", "nll_retain", "nll_held_out")
        if not math.isnan(first[name])
    }
    outcome = {"steps": int(last["step"]), "unlearned": unlearned, "message": message, **nlls}
    return outcome | {"nll_answers": {key: asdict(change) for key, change in changes.items()}}


def save_trained(
    trained: Trained, row: CheckpointRow, training: dict[str, Any], manifest: Path, log: Path
) -> None:
    """Write the checkpoint beside its manifest, the log of the steps, and the manifest last.

    `training` is what the manifest says beside what the training itself does.
    """
    with atomic_folder(manifest.parent) as folder:
        trained.model.save_pretrained(folder)
        trained.tokenizer.save_pretrained(folder)
    with atomic_path(log) as partial:
        trained.log.to_parquet(partial, index=False)
    training = {"method": row.method} | trained.training | training
    write_manifest(manifest, manifest.parent, row, training)
