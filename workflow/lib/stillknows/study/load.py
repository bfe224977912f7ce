"""Reads a study: its config, its checkpoints table and its concept files."""

import os
from pathlib import Path
from typing import Any

from stillknows.errors import StudyError
from stillknows.models.checkpoint_row import CheckpointRow
from stillknows.study.checkpoint_table import read_table
from stillknows.study.checks import check_study
from stillknows.study.config import Config, load_config
from stillknows.study.preflight import read_preflight
from stillknows.study.selection import rows_of, select
from stillknows.study.study import Study
from stillknows.texts.concepts import Entry, read_concept_file, with_unrelated

_RESULT_FOLDERS = (
    "answers",
    "behaviour",
    "benchmarks",
    "checkpoints",
    "concepts",
    "depth",
    "figures",
    "krs",
    "krs_unrelated",
    "logs",
    "recall",
    "recordings",
    "rounds",
    "self_patch",
    "tables",
    "training",
    "weight_changes",
)


def load_study(values: dict[str, Any]) -> Study:
    """Read the config's values, its table and its concept files, and check all of it.

    Relative paths start at the working directory.

    Raises:
        StudyError: one line on the first thing wrong.
    """
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
    """The rows of the table that a config's values select, available or not.

    Raises:
        StudyError: one line on the first thing wrong.
    """
    config = load_config(values)
    return rows_of(config, read_table(Path(config.checkpoints)))


def _check_results_folder(results: str) -> None:
    path = Path(results)
    existing = next(one for one in (path, *path.absolute().parents) if os.path.lexists(one))
    inside = (path / name for name in _RESULT_FOLDERS)
    for folder in [existing, *(one for one in inside if os.path.lexists(one))]:
        if not folder.is_dir():
            raise StudyError(
                f"config: results: {folder} should be a folder but is a file or a broken link; "
                "name another results folder, or move it"
            )
    if path.absolute() == Path(path.anchor or "/"):
        raise StudyError(f"config: results: {results} cannot be used; name a folder inside it")


def _entries(config: Config, model: str) -> dict[str, Entry] | None:
    """The entries of a model's concept file; None for one that is still to be fetched."""
    path = Path(config.concept_file(model))
    is_to_be_fetched = config.models[model].concepts.url and not path.exists()
    if is_to_be_fetched:
        return None
    entries = read_concept_file(path)
    return with_unrelated(entries) if config.specificity else entries
