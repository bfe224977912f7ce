"""What a study expects of the files that it collects: plain values, the parameters of rules."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from stillknows.models.checkpoint_row import CheckpointRow
from stillknows.study.study import Study
from stillknows.texts.concepts import identity
from stillknows.training.teaching import seed_of

Expected = dict[str, Any]


def of_sources(study: Study) -> Expected:
    """Of manifests and concepts' JSONs (study.belonging.check_results); in all those below.

    Nothing of a `path:` row's source, nor of a user's concept file's path: they may be elsewhere
    on another machine, or be moved.
    """
    checkpoints: dict[str, Expected] = {}
    retained: dict[str, None] = {}  # JSONs that trainings read beside those of the concept itself
    for row in study.rows:
        name = "/".join(row.key)
        if row.kind in ("hub", "wheel"):
            checkpoints[name] = {"source": row.source}
        elif row.start:
            training, read = _training(study, row)
            checkpoints[name] = {"training": {"method": row.method, **training}}
            retained |= dict.fromkeys(read)
    config = study.config
    fetched = {
        model: {"path": config.concept_file(model), "sha256": config.models[model].concepts.sha256}
        for model in study.models
        if config.models[model].concepts.url
    }
    return {
        "checkpoints": checkpoints,
        "concepts": _concepts(study, retained),
        "fetched": fetched,
        "answered_by": _answering(study),
        "retained": list(retained),
    }


def _training(study: Study, row: CheckpointRow) -> tuple[Expected, list[str]]:
    """What a training's manifest says of its settings, and the JSONs that it has read."""
    config = study.config
    prompt = {"prompt": config.models[row.model].prompt}
    if row.kind == "teach":
        learned = study.learned_concepts(row)
        settings = {
            "recipe": config.teaching.of(row.method).model_dump(),
            "seed": seed_of(config.seed, row.name),
            "learned": learned,
        }
        return prompt | settings, [study.concept_path(row.model, concept) for concept in learned]
    settings = {
        "recipe": config.recipe(row.recipe).model_dump(),
        "seed": config.seed,
        "retain": study.training_concepts(*row.key)["retain"],
    }
    return prompt | settings, study.auxiliary_paths(*row.key)["retain"]


def _concepts(study: Study, retained: Iterable[str]) -> dict[str, Expected]:
    """What users' concept files say of each concept's JSON, by its path."""
    asked = (path(*one) for one in study.asked for path in (study.texts_path, study.concept_path))
    paths = dict.fromkeys([*asked, *retained])
    concepts = {}
    for path in map(Path, paths):
        model, concept = path.parent.name, path.stem
        entries = study.entries[model]
        if entries is not None and not study.config.models[model].concepts.url:
            is_answered = str(path) == study.concept_path(model, concept)
            concepts[str(path)] = identity(entries.get(concept, {}), is_answered=is_answered)
    return concepts


def _answering(study: Study) -> Expected:
    """How the original answers, by the path of each concept's JSON that it answers."""
    config, answering = study.config, {}
    for model, concept in study.asked:
        path = study.texts_path(model, concept)
        if path != study.concept_path(model, concept):
            answering[path] = {
                "new_tokens": config.answer_tokens,
                "prompt": config.models[model].prompt,
                "dtype": config.dtype,
            }
    return answering


def of_sweeps(study: Study) -> Expected:
    """Of sweeps (study.belonging.check_results), as all those below."""
    controls = study.config.controls.of_a_sweep(study.config.seed)
    of_results = _of_results(study, windows=study.config.windows, controls=controls)
    donor = study.config.reference_donor
    return of_results | ({"reference": donor} if donor else {})


def of_unrelated_sweeps(study: Study) -> Expected:
    """Of sweeps on unrelated questions."""
    return _of_results(study, windows=study.config.windows) | {"unrelated": True}


def of_self_patches(study: Study) -> Expected:
    """Of self-patch checks."""
    return _of_results(study, window=study.config.windows[0])


def of_depth(study: Study) -> Expected:
    """Of depth."""
    return _of_results(study, forms=study.config.depth.forms)


def of_recall(study: Study) -> Expected:
    """Of recall."""
    config = study.config
    return _of_results(study, seed=config.seed, recall=config.recall.model_dump())


def of_answers(study: Study) -> Expected:
    """Of answers, unpatched and patched."""
    asked, patched = study.config.behaviour, study.config.behaviour.patched
    tokens = asked.new_tokens
    of_patched = _by_model(
        study,
        windows=patched.windows,
        experiments=study.config.patched_experiments(),
        sets=patched.sets,
        new_tokens=tokens,
    )
    return {
        **_of_results(study, sets=asked.sets, new_tokens=tokens),
        "patched": of_patched if patched.windows else {},
    }


def _of_results(study: Study, **settings: Any) -> Expected:
    return {
        "sources": of_sources(study),
        "dtype": study.config.dtype,
        "settings": _by_model(study, **settings),
    }


def _by_model(study: Study, **settings: Any) -> Expected:
    """By model, what its results pass to `study.expected.settings_fields`."""
    config = study.config
    return {
        model: {"prompt": config.models[model].prompt, "dtype": config.dtype, **settings}
        for model in study.models
    }
