"""Look at every selected checkpoint, show the table, and write preflight.csv."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from stillknows.files import free_bytes
from stillknows.job import run
from stillknows.study.load import selected_rows
from stillknows.study.selection import AVAILABLE, PreflightRow, write_preflight

log = logging.getLogger("stillknows")


def main(*, config: dict[str, Any], preflight: Path) -> None:
    """Downloads nothing but configs."""
    # Not before the job has said whether it may use the network.
    from stillknows.study.availability import look_at

    rows = look_at(selected_rows(config))
    write_preflight(preflight, rows)
    report(rows, config.get("on_missing_checkpoint", "error"))


def report(rows: Sequence[PreflightRow], on_missing: str) -> None:
    """Show all rows as a table, the sum of bytes against the free disk, and what is missing."""
    from huggingface_hub.constants import HF_HUB_CACHE

    table = pd.DataFrame(rows)
    shown = table[["model", "method", "concept", "status", "gated", "format", "commit"]]
    log.info("\n%s", shown.assign(GB=table["bytes"] / 1e9).to_string(index=False))
    is_there = table["status"] == AVAILABLE
    on_hub = table[is_there & table["source"].str.startswith("hub:")]
    log.info(
        f"{is_there.sum()} of {len(table)} checkpoints are available; the {len(on_hub)} on the hub "
        f"take {on_hub['bytes'].sum() / 1e9:.1f} GB; "
        f"{free_bytes(Path(HF_HUB_CACHE)) / 1e9:.1f} GB are free in {HF_HUB_CACHE}"
    )
    for row in rows:
        if row.status not in (AVAILABLE, "later"):
            name = " ".join(row[:3]).strip()
            log.warning(f"{name}: {row.note} (on_missing_checkpoint: {on_missing})")


if __name__ == "__main__":
    run(main, network=True)
