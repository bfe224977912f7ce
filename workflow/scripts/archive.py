"""Pack a study for a reviewer: tables, figures, report, config, and where all of it comes from."""

import logging
from pathlib import Path
from typing import Any

from dissect.archive.archive import study_members, write_archive
from dissect.archive.redact import Redactor
from dissect.files import read_json
from dissect.job import job
from dissect.study.checkpoint_table import read_table
from dissect.study.config import load_config

log = logging.getLogger("dissect")


def main(
    *,
    config: dict[str, Any],
    manifests: list[Path],
    outputs: list[Path],
    workflow: Path,
    archive: Path,
) -> None:
    """Write <results>/archive.zip.

    Args:
        config: the config as used, with every default.
        manifests: of the study's checkpoints.
        outputs: the files to pack, all under the results folder.
        workflow: the folder that the Snakefile lies in.

    Raises:
        DissectError: see archive.archive.write_archive.
    """
    study = load_config(config)
    results, checkpoints = Path(study.results), Path(study.checkpoints)
    members = study_members(results, checkpoints, manifests, outputs, config, workflow)
    named = [results, checkpoints, workflow, *(Path(read_json(m)["folder"]) for m in manifests)]
    named += [Path(row.location) for row in read_table(checkpoints) if row.kind == "path"]
    named += [Path(m.concepts.path) for m in study.models.values() if m.concepts.path]
    write_archive(archive, members, Redactor(named))
    log.info("%d files, %.1f MB: %s", len(members) + 1, archive.stat().st_size / 1e6, archive)


if __name__ == "__main__":
    with job() as snakemake:
        main(
            config=snakemake.params.config,
            manifests=[Path(path) for path in snakemake.input.manifests],
            outputs=[
                Path(path)
                for kind in (
                    snakemake.input.tables,
                    snakemake.input.figures,
                    snakemake.input.report,
                )
                for path in kind
            ],
            workflow=Path(snakemake.scriptdir).parents[1],
            archive=Path(snakemake.output.archive),
        )
