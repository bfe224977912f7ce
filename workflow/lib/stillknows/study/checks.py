"""What is checked of a study before a job runs."""

import csv
from itertools import chain
from pathlib import Path

from stillknows.engine.windows import layers_between, windows_of
from stillknows.errors import StudyError, check_known
from stillknows.models.checkpoint_row import CheckpointRow
from stillknows.study.folders import check_folder, check_pair
from stillknows.study.study import Study
from stillknows.terms import BASE, FACT, ORIGINAL
from stillknows.texts.concepts import has_answers, unrelated_id


def check_study(study: Study) -> None:
    """Raise a StudyError if its config, table and concept files contradict each other."""
    config = study.config
    _check_rounds(study)
    taught = {row.method for row in study.table if row.kind == "teach"}
    where = f"the method of a teach row in {config.checkpoints}"
    check_known("config: teaching.passes_of:", config.teaching.passes_of, taught, where)
    for row in study.rows:
        if row.kind == "path" and row not in study.selection.needed:
            check_folder(row)
            original = study.untrained(row.model)
            if original.kind == "path":
                check_pair(row, original)
        if row.method == ORIGINAL:
            _check_layers(study, row.model)
        if row.kind == "teach":
            _check_learned(study, row)
    for row in study.unlearned:
        _check_texts(study, row)
        donor = config.reference_donor
        if donor and not study.has_reference(row.model, row.concept):
            raise StudyError(
                f"config: controls.donors: reference: {config.checkpoints} has no row of "
                f"{row.model} {donor} for concept {row.concept}; add it (a row without a concept "
                "serves all of them), or leave this donor out"
            )
    are_read = None not in study.entries.values()
    if config.figures.spans == [FACT] and are_read and not any(map(study.has_facts, study.models)):
        raise StudyError(
            "config: figures.spans names only fact, but no studied concept has answer_facts; add "
            "them to the concept file, or add the span answer"
        )


def _check_rounds(study: Study) -> None:
    """Refuse finished rounds of another base model: their thresholds are not this one's."""
    bases = {row.source for row in study.rows if row.method == BASE}
    for path in study.finished_rounds:
        with Path(path).open(encoding="utf-8", errors="replace", newline="") as file:
            models = {str(row["model"]) for row in csv.DictReader(file) if row.get("model")}
        others = models - bases
        if bases and others:
            raise StudyError(
                f"config: calibration.rounds: {path} is of the base model {min(others)}, "
                f"but this study's is {min(bases)}; leave calibration.rounds out, or name a "
                "folder with rounds of this base (make_study.py --finished)"
            )


def _check_layers(study: Study, model: str) -> None:
    layers, controls = study.layers(model), study.config.controls
    if layers is not None:
        windows = windows_of(study.config.windows, layers, model)
        centres = sorted({window.layer for window in windows})
        unknown = [layer for layer in controls.layers if layer not in centres]
        if controls.donors and unknown:
            raise StudyError(
                f"config: controls.layers: no window of {model} has the layer {unknown[0]}; "
                f"allowed: {', '.join(map(str, centres))}"
            )
    for name in study.config.behaviour.patched.windows:
        layers_between(name, layers)


def _check_texts(study: Study, row: CheckpointRow) -> None:
    """Refuse a concept that the file does not have, or has no text of that is trained on."""
    entries, is_trained = study.entries[row.model], row.kind == "unlearn"
    others = study.training_concepts(*row.key) if is_trained else {}
    needed = [row.concept, *chain(*others.values())]
    if entries is None:
        return
    where = f"in the concept file of {row.model} ({study.config.concept_file(row.model)})"
    check_known("concept", needed, entries, where)
    if study.config.specificity and unrelated_id(row.concept) not in entries:
        raise StudyError(
            f"config: specificity: concept {row.concept} has no unrelated_QA and is alone "
            f"{where}; add unrelated questions or another concept, or set specificity to false"
        )
    if not is_trained:
        return
    recipe = study.config.recipe(row.recipe)
    key = {"paragraphs": "wikipedia_content", "answers": "QA_with_answers"}[recipe.texts]
    for concept in needed[1:] if recipe.answer else needed:  # a refusal reads questions alone
        if not entries[concept].get(key):
            raise StudyError(
                f"concept {concept} of {row.model} has no {key}, which an unlearn row needs to "
                f"train on (recipe {row.recipe}, texts: {recipe.texts}): add it to the concept file"
            )


def _check_learned(study: Study, row: CheckpointRow) -> None:
    """Refuse to teach what the concept file does not have."""
    file, entries = study.config.concept_file(row.model), study.entries[row.model]
    if entries is None:
        raise StudyError(
            f"{row.name} is to be taught concepts of {file}, which has not been downloaded "
            "yet: download it and give its path in the config"
        )
    learned = study.learned_concepts(row)
    check_known(f"{row.name}: concept", learned, entries, f"in {file}")
    without = [concept for concept in learned if not has_answers(entries[concept])]
    if without:
        raise StudyError(
            f"concept {without[0]} of {row.model} has no QA_with_answers, which a taught model "
            f"learns: add them to {file}"
        )
    if not learned:
        raise StudyError(
            f"{row.name} is to be taught all concepts of {file} but {row.concept}, and there "
            "is no other: add the concepts that it should know"
        )
