"""Reads a study: config, checkpoints table and concept files, each checked and all together."""

import csv
import logging
import os
import re
import sys
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import yaml

from stillknows import collect_garbage_rarely
from stillknows.engine.windows import layers_between, windows_of
from stillknows.errors import StudyError, check_known, shortened
from stillknows.figures.style import check_palettes
from stillknows.files import write_json
from stillknows.job import log_to_terminal
from stillknows.models.checkpoint_row import CheckpointRow
from stillknows.study.checkpoint_table import check_folder, check_pair, read_table
from stillknows.study.config import Config, load_config
from stillknows.study.selection import read_preflight, rows_of, select
from stillknows.study.study import Study
from stillknows.terms import BASE, BENIGN, FACT, ORIGINAL
from stillknows.texts.concepts import (
    Entry,
    has_answers,
    read_concept_file,
    unrelated_id,
    with_unrelated,
)

log = logging.getLogger("stillknows")

_MERGE = "tag:yaml.org,2002:merge"  # the key `<<`, whose keys may be given again beside it


def read_study(values: dict[str, Any], config_files: Sequence[str], *, check: bool) -> Study:
    """The study of the merged config; check: also what jobs need not check again."""
    collect_garbage_rarely()
    for file in config_files if check else []:
        check_config_file(Path(file))
    study = load_study(values)
    if check:
        check_palettes(study.config.figures.style)
        absent = [model for model, entries in study.entries.items() if entries is None]
        if absent and (study.config.reference or study.config.recall.wordings):
            log_to_terminal()
            log.warning(
                "the concept files of %s have not been downloaded yet, so depth and recall are not "
                "planned; run `snakemake checkpoints` first",
                ", ".join(absent),
            )
    # The tables of a results folder that was copied here without `.snakemake` are older than this
    # file, so they are made again, and all results in the folder are checked.
    first_use = Path(study.first_use)
    if not first_use.exists():
        write_json(first_use, study.config.results)
    return study


def load_study(values: dict[str, Any]) -> Study:
    """The study of a config's values; a StudyError names the first thing that is wrong."""
    config = load_config(values)
    table = read_table(Path(config.checkpoints))
    _check_results_folder(config.results)
    preflight = read_preflight(Path(config.preflight_csv))
    selection = select(config, table, preflight)
    models = dict.fromkeys(row.model for row in selection.rows)
    entries = {model: _entries(config, model) for model in models}
    study = Study(config, table, selection, preflight, entries)
    check_study(study)
    return study


def selected_rows(values: dict[str, Any]) -> list[CheckpointRow]:
    config = load_config(values)
    return rows_of(config, read_table(Path(config.checkpoints)))


def _check_results_folder(results: str) -> None:
    path = Path(results).absolute()
    existing = next(folder for folder in (path, *path.parents) if os.path.lexists(folder))
    if not existing.is_dir():
        raise StudyError(
            f"config: results: {existing} should be a folder but is a file or a broken link; "
            "name another results folder, or move it"
        )


def _entries(config: Config, model: str) -> dict[str, Entry] | None:
    """The entries of a model's concept file; None for one that is still to be fetched."""
    path = Path(config.concept_file(model))
    if config.models[model].concepts.url and not path.exists():
        return None
    entries = read_concept_file(path)
    return with_unrelated(entries) if config.specificity else entries


class _EachKeyOnce(yaml.SafeLoader):
    """Refuses a mapping that has a key twice, when it is read and before anything is merged."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        lines: dict[str, int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag == _MERGE:
                continue
            line = key.start_mark.line + 1
            if key.value in lines:
                raise StudyError(
                    f"the key {shortened(key.value)} is given twice, in line {lines[key.value]} "
                    f"and in line {line}; keep one"
                )
            lines[key.value] = line
        return node


def check_config_file(path: Path) -> None:
    """Refuse a config file, YAML or JSON, in which one section has a key twice."""
    if not path.is_file():  # Snakemake has emptied a pipe, and a second reader waits
        return
    try:
        # JSON may be indented by tabs, YAML may not.
        text = path.read_text(encoding="utf-8-sig").replace("\t", " ")
        yaml.compose(text, Loader=_EachKeyOnce)
    except StudyError as error:
        raise StudyError(f"config file {path}: {error}") from None
    except (OSError, ValueError, RecursionError, yaml.YAMLError):
        return


def refuse_missing_config_files() -> None:
    """End Snakemake with one line if a --configfile does not exist; profiles/default calls it."""
    from snakemake.cli import get_argument_parser

    for path in get_argument_parser().parse_known_args()[0].configfile or ():
        if not path.exists():
            sys.exit(
                f"error: the config file {path} does not exist; write it, with the checkpoints "
                "table and the concept file that it names, as docs/tutorials/guide.md shows, or "
                "name another one"
            )


def any_of(names: Iterable[str]) -> str:
    return "|".join(map(re.escape, names))


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
            original = study.untrained_row(row.model)
            if original.kind == "path":
                check_pair(row, original)
        if row.method == ORIGINAL:
            _check_layers(study, row.model)
        if row.kind == "teach":
            _check_learned(study, row)
    for row in study.unlearned:
        _check_texts(study, row)
        if BENIGN in config.audit.tests and not study.benign_concepts(row.concept):
            raise StudyError(
                f"config: audit.retained names only {row.concept}, which is what {row.method} is "
                "asked for; name another concept, or leave benign out of audit.tests"
            )
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
