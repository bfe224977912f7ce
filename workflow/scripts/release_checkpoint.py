"""Remove the weights of a downloaded checkpoint from the hub's cache, and note it."""

import logging
from pathlib import Path

from dissect.files import read_json, write_json
from dissect.job import run

log = logging.getLogger("dissect")


def main(*, manifest: Path, released: Path) -> None:
    """Removes what this workflow downloaded itself, and nothing that lay in the cache before."""
    from dissect.checkpoints.download import remove

    content = read_json(manifest)
    names = [name for name in content["fetched"] if name.endswith(".safetensors")]
    freed = remove(Path(content["folder"]), names)
    kept = len(content["files"]) - len(names)
    log.info("removed %d files, %.2f GB; %d files stay", len(names), freed / 1e9, kept)
    write_json(released, {"folder": content["folder"], "removed": names, "bytes": freed})


if __name__ == "__main__":
    run(main)
