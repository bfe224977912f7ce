"""Before the first job: what must be downloaded can be had, and what was removed is back."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from dissect.checkpoints.download import download
from dissect.checkpoints.hashes import Hashed, write_hashes
from dissect.checkpoints.preflight import look_at
from dissect.errors import DissectError
from dissect.job import log_to_terminal
from dissect.study.downloads import Download, read_known
from dissect.study.preflight import NOT_TO_BE_HAD, THERE, Found, read_preflight, write_preflight
from dissect.study.products import Products
from dissect.study.selection import Missing, all_missing
from dissect.study.study import Study

log = logging.getLogger("dissect")
_AGAIN = {
    "skip": "run the same command again, and the study goes on without them (skip)",
    "unlearn": "run the same command again, and they are trained here (unlearn)",
}


def prepare(study: Study) -> None:
    """Look at what is due, and bring back what is wanted again; costs nothing if nothing is.

    Raises:
        DissectError: naming every checkpoint that is due and not to be had; or if one that was
            here cannot be had again.
    """
    log_to_terminal()
    products = Products(study)
    downloads = [products.download(row) for row in study.rows if row.kind == "hub"]
    due = [item for item in downloads if item.is_due]
    if due:
        look_at_due(due, Path(study.layout.preflight), study.config.on_missing_checkpoint)
    for item in downloads:
        if item.is_wanted_again:
            bring_back(item)


def look_at_due(due: Sequence[Download], preflight: Path, on_missing: str) -> None:
    """Believe preflight where it is sure of a row; look at all others, and note them there.

    Raises:
        DissectError: naming every row that is not to be had. Where the study goes on without
            (skip) or trains it here (unlearn), it must be planned anew: the line says so.
    """
    known, rows = read_preflight(preflight), [item.row for item in due]
    sure = {key for key, found in known.items() if found.status in (THERE, *NOT_TO_BE_HAD)}
    new = [row for row in rows if row.key not in sure or not known[row.key].is_about(row)]
    if new:
        log.info("looking at %d of %d checkpoints that are to be downloaded", len(new), len(rows))
        known |= {row.key: found for row, found in zip(new, look_at(new), strict=True)}
        write_preflight(preflight, known.values())
    _refuse(due, known, on_missing)


def _refuse(
    due: Sequence[Download], known: Mapping[tuple[str, str, str], Found], on_missing: str
) -> None:
    missing = []
    for row in (item.row for item in due):
        found = known[row.key]
        if found.status == "bad_token":
            raise DissectError(found.note)
        if found.status in NOT_TO_BE_HAD:
            missing.append(Missing(row, NOT_TO_BE_HAD[found.status]))
        elif found.status != THERE:
            # The cache may still have it whole; its download says so if not.
            log.warning("%s: %s", row.name, found.note)
    if missing:
        raise DissectError(all_missing(missing, _AGAIN.get(on_missing)))


def bring_back(item: Download) -> None:
    """Download removed weights again: the manifest's commit, so the manifest stays as it is.

    Raises:
        DissectError: if they cannot be had.
    """
    known = read_known(item.manifest)
    assert known is not None
    log.info("%s: its weights were removed, and further cells want them", item.row.name)
    done = download(item.row.location, known.revision)
    for file in known.files:
        if done.sha256[file.name] != file.sha256:
            raise DissectError(
                f"{item.row.name}: {file.name} has another sha256 than {item.manifest} says, "
                "though the commit is the same; delete that manifest to start afresh"
            )
    # So that no job hashes them again.
    paths = {done.folder / file.name: file.sha256 for file in known.files}
    hashes = {str(path): Hashed.of(path, sha256) for path, sha256 in paths.items()}
    write_hashes(Path(item.manifest), hashes)
