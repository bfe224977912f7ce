"""What Snakemake's own process does before it plans the jobs of a study."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from dissect.checkpoints.changes import changed_manifests
from dissect.figures.palettes import check_palettes
from dissect.files import write_json
from dissect.job import log_to_terminal
from dissect.study.config_files import check_config_file
from dissect.study.study import Study, load_study


def read_study(values: dict[str, Any], config_files: Sequence[str], *, check: bool) -> Study:
    """The study of a config, and a note of when this working directory first used its results.

    Args:
        values: of all config files, merged.
        check: whether to check also what jobs need not check again, after the planning has.

    Raises:
        DissectError: one line on the first thing wrong.
    """
    for file in config_files if check else []:
        check_config_file(Path(file))
    study = load_study(values)
    if check:
        style = study.config.figures.style
        check_palettes(style.palette, style.heatmap_palette)
    # The tables of a results folder that was copied here without `.snakemake` are older than this
    # file, so they are made again, and all results in the folder are checked.
    first_use = Path(study.first_use)
    if not first_use.exists():
        write_json(first_use, study.config.results)
    return study


def check_checkpoints(study: Study) -> frozenset[str]:
    """Which manifests no longer describe the files of their checkpoint.

    Raises:
        DissectError: if a checkpoint is missing, or one that must not change has changed.
    """
    study.refuse_missing()
    log_to_terminal()
    return frozenset(changed_manifests(study))


def any_of(names: Iterable[str]) -> str:
    """A pattern that matches these names and no other."""
    return "|".join(map(re.escape, names))
