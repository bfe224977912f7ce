"""Remove the weights of a downloaded checkpoint from the hub's cache, and note it."""

import logging
import os
from collections.abc import Sequence
from pathlib import Path

from stillknows.errors import StudyError
from stillknows.files import read_json, write_json
from stillknows.job import run

log = logging.getLogger("stillknows")


def main(*, manifest: Path, released: Path) -> None:
    """Removes what this workflow downloaded itself, and nothing that lay in the cache before."""
    content = read_json(manifest)
    names = [name for name in content["fetched"] if name.endswith(".safetensors")]
    freed = remove(Path(content["folder"]), names)
    kept = len(content["files"]) - len(names)
    log.info("removed %d files, %.2f GB; %d files stay", len(names), freed / 1e9, kept)
    write_json(released, {"folder": content["folder"], "removed": names, "bytes": freed})


def remove(folder: Path, names: Sequence[str]) -> int:
    """Delete a snapshot's files, and bytes that no other snapshot has; returns their size."""
    cache, freed = folder.parent.parent, 0
    if folder.parent.name != "snapshots" or not cache.name.startswith("models--"):
        raise StudyError(
            f"{folder} is not a snapshot in the hub's cache: nothing is deleted there; delete the "
            "checkpoint's manifest and run again"
        )
    for path in (folder / Path(name).name for name in names):
        content = cache / "blobs" / path.readlink().name if path.is_symlink() else path
        size = content.lstat().st_size if os.path.lexists(content) else 0
        path.unlink(missing_ok=True)
        others = (other for other in cache.glob("snapshots/*/*") if other.is_symlink())
        if content.name not in {other.readlink().name for other in others}:
            content.unlink(missing_ok=True)
            freed += size
    return freed


if __name__ == "__main__":
    run(main)
