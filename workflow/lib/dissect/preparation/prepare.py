"""Before the first job: check that due downloads are available, and restore removed weights.

Weights may have been removed after their last job (keep_checkpoints: false), or by the user. They
are downloaded again only if a result that needs them is missing.
"""

import logging
from collections.abc import Sequence
from pathlib import Path

from dissect.checkpoints.download import download
from dissect.checkpoints.hashes import Hashed, write_hashes
from dissect.checkpoints.manifest import Manifest, files_are_present, manifest_if_present
from dissect.errors import DissectError
from dissect.inputs.rows import CheckpointRow
from dissect.job import log_to_terminal
from dissect.preparation.preflight import look_at
from dissect.study.preflight import AVAILABLE, UNAVAILABLE, read_preflight, write_preflight
from dissect.study.products import Products
from dissect.study.selection import Missing, all_missing
from dissect.study.study import Study

log = logging.getLogger("dissect")
_AGAIN = {
    "skip": "run the same command again, and the study goes on without them (skip)",
    "unlearn": "run the same command again, and they are trained here (unlearn)",
}


def prepare(study: Study) -> None:
    """Check what is due, and download removed weights that are needed again.

    Raises:
        DissectError: naming every checkpoint that is due and unavailable; or if removed weights
            cannot be downloaded again.
    """
    log_to_terminal()
    products, due, removed = Products(study), [], []
    for row in study.rows:
        path = Path(study.manifest_path(*row.key))
        manifest = manifest_if_present(str(path)) if row.kind == "hub" else None
        if row.kind == "hub" and is_due(row, manifest):
            due.append(row)
        elif manifest and is_wanted_again(manifest, products.needing(row)):
            removed.append((row, path, manifest))
    if due:
        look_at_due(due, Path(study.config.preflight_csv), study.config.on_missing_checkpoint)
    for row, path, manifest in removed:
        restore(row, path, manifest)


def is_due(row: CheckpointRow, manifest: Manifest | None) -> bool:
    """Whether a job must download it: it never was, or the table names another source now."""
    return manifest is None or manifest.source != row.source


def is_wanted_again(manifest: Manifest, results: Sequence[str]) -> bool:
    """Whether weights were removed and one of the results that need them is missing."""
    return not files_are_present(manifest) and not all(Path(path).exists() for path in results)


def look_at_due(due: Sequence[CheckpointRow], preflight: Path, on_missing: str) -> None:
    """Check the rows on which preflight.csv is not conclusive, and add the results to it.

    A DissectError names every row that is unavailable. If the study continues without it (skip) or
    trains it here (unlearn), it must be planned again: the message says so.
    """
    rows = read_preflight(preflight)
    conclusive = {key for key, one in rows.items() if one.status in (AVAILABLE, *UNAVAILABLE)}
    new = [row for row in due if row.key not in conclusive or not rows[row.key].is_about(row)]
    if new:
        log.info("looking at %d of %d checkpoints that are to be downloaded", len(new), len(due))
        rows |= {row.key: one for row, one in zip(new, look_at(new), strict=True)}
        write_preflight(preflight, rows.values())
    missing = []
    for row in due:
        status, note = rows[row.key].status, rows[row.key].note
        if status == "bad_token":
            raise DissectError(note)
        if status in UNAVAILABLE:
            missing.append(Missing(row, UNAVAILABLE[status]))
        elif status != AVAILABLE:
            # The cache may still hold the whole checkpoint; otherwise its download fails.
            log.warning("%s: %s", row.name, note)
    if missing:
        raise DissectError(all_missing(missing, _AGAIN.get(on_missing)))


def restore(row: CheckpointRow, path: Path, manifest: Manifest) -> None:
    """Download removed weights again: the manifest's commit, so the manifest stays as it is."""
    log.info("%s: its weights were removed, and further sweeps want them", row.name)
    done = download(row.location, manifest.revision)
    # So that no job hashes them again. A job refuses those that differ from the manifest's.
    hashes = {str(done.folder / name): sha256 for name, sha256 in done.sha256.items()}
    write_hashes(path, {name: Hashed.of(Path(name), hash_) for name, hash_ in hashes.items()})
