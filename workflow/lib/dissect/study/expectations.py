"""What a study expects of the files that it collects: plain values, the parameters of rules."""

from typing import Any

from dissect.results.expected import (
    answer_settings,
    identity_settings,
    patched_settings,
    sweep_settings,
)
from dissect.study.study import Study

Expected = dict[str, Any]


def of_sources(study: Study) -> Expected:
    """Of manifests and concepts' JSONs (results.belonging.read_sources); in all those below.

    Where the weights of a `path:` row come from is its manifest's own business: a folder may lie
    elsewhere on another machine.
    """
    checkpoints: dict[str, Expected] = {}
    for row in study.rows:
        name = "/".join(row.key)
        if row.kind in ("hub", "wheel"):
            checkpoints[name] = {"source": row.source}
        elif row.kind == "unlearn":
            checkpoints[name] = {"training": _training(study, *row.key)}
    concepts = study.config.models
    return {
        "checkpoints": checkpoints,
        "concept_files": {
            model: {"path": study.concept_file(model), "sha256": concepts[model].concepts.sha256}
            for model in study.models
        },
        "answered_by": _answering(study),
        "retained": _retained(study),
    }


def _training(study: Study, model: str, method: str, concept: str) -> Expected:
    config = study.config
    return {
        "method": method,
        "recipe": config.recipe(method).model_dump(),
        "seed": config.seed,
        "prompt": config.models[model].prompt,
        "retain": study.training_concepts(model, method, concept)["retain"],
    }


def _retained(study: Study) -> list[str]:
    """The concepts' JSONs that trainings read beside those of the concept itself."""
    trained = [row for row in study.rows if row.kind == "unlearn"]
    paths = [path for row in trained for path in study.auxiliary_paths(*row.key)["retain"]]
    return list(dict.fromkeys(paths))


def _answering(study: Study) -> Expected:
    """How the original answers, by the path of each concept's JSON that it answers."""
    config, answering = study.config, {}
    for model, concept in dict.fromkeys((cell.model, cell.concept) for cell in study.cells):
        path = study.texts_path(model, concept)
        if path == study.layout.answered(model, concept):
            answering[path] = {
                "new_tokens": config.answer_tokens,
                "prompt": config.models[model].prompt,
                "dtype": config.dtype,
            }
    return answering


def of_sweeps(study: Study) -> Expected:
    """Of sweeps (results.belonging.check_results), as all those below."""
    config = study.config
    controls = config.controls.of_a_sweep(config.seed)
    return {
        "sources": of_sources(study),
        "dtype": config.dtype,
        "settings": {
            model: sweep_settings(
                windows=config.windows, prompt=prompt, dtype=config.dtype, controls=controls
            )
            for model, prompt in _prompts(study)
        },
    }


def of_identities(study: Study) -> Expected:
    """Of self-patch checks."""
    config = study.config
    window, dtype = config.windows[0], config.dtype
    return {
        "sources": of_sources(study),
        "dtype": dtype,
        "settings": {
            model: identity_settings(window=window, prompt=prompt, dtype=dtype)
            for model, prompt in _prompts(study)
        },
    }


def of_answers(study: Study) -> Expected:
    """Of answers, unpatched and patched."""
    config, asked = study.config, study.config.behaviour
    shared: Expected = {"new_tokens": asked.new_tokens, "dtype": config.dtype}
    windows, experiments = asked.patched.windows, config.patched_experiments()
    return {
        "sources": of_sources(study),
        "dtype": config.dtype,
        "settings": {
            model: answer_settings(prompt=prompt, sets=asked.sets, **shared)
            for model, prompt in _prompts(study)
        },
        "patched": {
            model: patched_settings(
                windows=windows,
                experiments=experiments,
                prompt=prompt,
                sets=asked.patched.sets,
                **shared,
            )
            for model, prompt in _prompts(study)
            if windows
        },
    }


def of_weight_changes(study: Study) -> Expected:
    """Of the traces: they depend on weights and concept alone."""
    return {"sources": of_sources(study)}


def _prompts(study: Study) -> list[tuple[str, str]]:
    return [(model, study.config.models[model].prompt) for model in study.models]
