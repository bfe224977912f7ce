"""Reads a study: its config files, its checkpoints table and its concept files, all checked."""

import logging
import os
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import yaml

from stillknows import collect_garbage_rarely
from stillknows.errors import StudyError, shortened
from stillknows.figures.style import check_palettes
from stillknows.files import write_json
from stillknows.job import log_to_terminal
from stillknows.models.checkpoint_row import CheckpointRow
from stillknows.study.checkpoint_table import read_table
from stillknows.study.checks import check_study
from stillknows.study.config import Config, load_config
from stillknows.study.preflight import read_preflight
from stillknows.study.selection import rows_of, select
from stillknows.study.study import Study
from stillknows.texts.concepts import Entry, read_concept_file, with_unrelated

log = logging.getLogger("stillknows")

_MERGE = "tag:yaml.org,2002:merge"  # the key `<<`, whose keys may be given again beside it


def read_study(values: dict[str, Any], config_files: Sequence[str], *, check: bool) -> Study:
    """The study that Snakemake's own process plans.

    Args:
        values: of all config files, merged.
        check: whether to check also what jobs need not check again, after the planning has.
    """
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
    """The rows of the table that a config's values select, available or not."""
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
    """Refuse a config file, YAML or JSON, in which one section has a key twice.

    Whether it is a config file at all is left to Snakemake, which has read it before.
    """
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
    """End this call of Snakemake with one line if a file given with --configfile does not exist.

    profiles/default calls it, since Snakemake reads config files before it reads any of this code,
    and ends in a traceback.
    """
    from snakemake.cli import get_argument_parser

    for path in get_argument_parser().parse_known_args()[0].configfile or ():
        if not path.exists():
            sys.exit(
                f"error: the config file {path} does not exist; write it, with the checkpoints "
                "table and the concept file that it names, as docs/tutorials/guide.md shows, or "
                "name another one"
            )


def any_of(names: Iterable[str]) -> str:
    """A pattern that matches these names and no other."""
    return "|".join(map(re.escape, names))
