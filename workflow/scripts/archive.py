"""Pack a study for a reviewer: tables, figures, report, config, and where all of it comes from."""

import logging
from pathlib import Path
from typing import Any

from stillknows.files import read_json
from stillknows.job import run
from stillknows.report.archive import Redactor, study_members, write_archive
from stillknows.study.checkpoint_table import read_table
from stillknows.study.config import load_config

log = logging.getLogger("stillknows")


def main(
    *,
    settings: dict[str, Any],
    manifests: list[Path],
    outputs: list[Path],
    scriptdir: Path,
    archive: Path,
) -> None:
    """Write <results>/archive.zip; `settings` is the config with every default."""
    # Snakemake gives it as workflow/rules/../scripts.
    study, workflow = load_config(settings), scriptdir.resolve().parents[1]
    results, checkpoints = Path(study.results), Path(study.checkpoints)
    members = study_members(results, checkpoints, manifests, outputs, settings, workflow)
    named = [results, checkpoints, workflow, *(Path(read_json(m)["folder"]) for m in manifests)]
    named += [Path(row.location) for row in read_table(checkpoints) if row.kind == "path"]
    named += [Path(m.concepts.path) for m in study.models.values() if m.concepts.path]
    write_archive(archive, members, Redactor(named))
    log.info("%d files, %.1f MB: %s", len(members) + 2, archive.stat().st_size / 1e6, archive)


if __name__ == "__main__":
    run(main)
