"""Before the first job: check that due downloads are available, and restore removed weights."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from dissect.checkpoints.download import download
from dissect.checkpoints.hashes import Hashed, write_hashes
from dissect.checkpoints.manifest import manifest_if_present
from dissect.checkpoints.preflight import look_at
from dissect.errors import DissectError
from dissect.job import log_to_terminal
from dissect.study.preflight import (
    AVAILABLE,
    UNAVAILABLE,
    PreflightRow,
    read_preflight,
    write_preflight,
)
from dissect.study.products import HubCheckpoint, Products
from dissect.study.selection import Missing, all_missing
from dissect.study.study import Study

log = logging.getLogger("dissect")
_AGAIN = {
    "skip": "run the same command again, and the study goes on without them (skip)",
    "unlearn": "run the same command again, and they are trained here (unlearn)",
}


def prepare(study: Study) -> None:
    """Check what is due, and download removed weights that are needed again.

    Nothing is requested from the hub if nothing is due.

    Raises:
        DissectError: naming every checkpoint that is due and unavailable; or if removed weights
            cannot be downloaded again.
    """
    log_to_terminal()
    products = Products(study)
    downloads = [products.download(row) for row in study.rows if row.kind == "hub"]
    due = [item for item in downloads if item.is_due]
    if due:
        look_at_due(due, Path(study.config.preflight_csv), study.config.on_missing_checkpoint)
    for item in downloads:
        if item.is_wanted_again:
            bring_back(item)


def look_at_due(due: Sequence[HubCheckpoint], preflight: Path, on_missing: str) -> None:
    """Check the rows on which preflight.csv is not conclusive, and add the results to it.

    Raises:
        DissectError: naming every row that is unavailable. If the study continues without it
            (skip) or trains it here (unlearn), it must be planned again: the message says so.
    """
    rows_by_key, due_rows = read_preflight(preflight), [item.row for item in due]
    sure = {key for key, one in rows_by_key.items() if one.status in (AVAILABLE, *UNAVAILABLE)}
    new = [row for row in due_rows if row.key not in sure or not rows_by_key[row.key].is_about(row)]
    if new:
        log.info(
            "looking at %d of %d checkpoints that are to be downloaded", len(new), len(due_rows)
        )
        rows_by_key |= {row.key: one for row, one in zip(new, look_at(new), strict=True)}
        write_preflight(preflight, rows_by_key.values())
    _refuse(due, rows_by_key, on_missing)


def _refuse(
    due: Sequence[HubCheckpoint],
    preflight: Mapping[tuple[str, str, str], PreflightRow],
    on_missing: str,
) -> None:
    missing = []
    for row in (item.row for item in due):
        result = preflight[row.key]
        if result.status == "bad_token":
            raise DissectError(result.note)
        if result.status in UNAVAILABLE:
            missing.append(Missing(row, UNAVAILABLE[result.status]))
        elif result.status != AVAILABLE:
            # The cache may still hold the whole checkpoint; otherwise its download fails.
            log.warning("%s: %s", row.name, result.note)
    if missing:
        raise DissectError(all_missing(missing, _AGAIN.get(on_missing)))


def bring_back(item: HubCheckpoint) -> None:
    """Download removed weights again: the manifest's commit, so the manifest stays as it is.

    Raises:
        DissectError: if they are unavailable.
    """
    manifest = manifest_if_present(item.manifest)
    assert manifest is not None
    log.info("%s: its weights were removed, and further cells want them", item.row.name)
    done = download(item.row.location, manifest.revision)
    for file in manifest.files:
        if done.sha256[file.name] != file.sha256:
            raise DissectError(
                f"{item.row.name}: {file.name} has another sha256 than {item.manifest} says, "
                "though the commit is the same; delete that manifest to start afresh"
            )
    # So that no job hashes them again.
    paths = {done.folder / file.name: file.sha256 for file in manifest.files}
    hashes = {str(path): Hashed.of(path, sha256) for path, sha256 in paths.items()}
    write_hashes(Path(item.manifest), hashes)
