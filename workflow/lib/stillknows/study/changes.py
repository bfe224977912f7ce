"""Before any job is planned: do the manifests still describe the checkpoints' files?

A user's folder, of a checkpoint or an adapter, may change: it is verified or merged again, and all
that depends on it runs again. It may be moved: nothing runs again. What was downloaded, converted,
merged or trained here must not change.
"""

import logging
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from stillknows.errors import StudyError
from stillknows.models.checkpoint_row import CheckpointRow
from stillknows.models.hashes import files_of, hash_files, is_known, read_hashes, write_hashes
from stillknows.models.manifest import File, Manifest, manifest_if_present, write_new_source
from stillknows.study.study import Study

log = logging.getLogger("stillknows")


def changed_manifests(study: Study) -> list[str]:
    """The manifests of users' folders that hold other files, or other content, than they did.

    A missing one is among them: its results may be from other files than those in the folder now.
    Only a file that os.stat calls another one than before is hashed. Missing weights of other
    checkpoints are no change: they may have been removed after the last job that needed them.

    Raises:
        StudyError: if a manifest is damaged, or a file that this workflow downloaded or made has
            another content.
    """
    changed = []
    for row in study.rows:
        path, is_users = Path(study.manifest_path(*row.key)), row.kind in ("path", "adapter")
        manifest = manifest_if_present(str(path))
        if manifest is None:
            changed += [str(path)] if is_users else []
            continue
        if row.kind != "path" and manifest.source == row.source:
            _refuse_changed(row, path, manifest)
        if is_users and (reason := _change(row, path, manifest)):
            log.info("%s: %s; it and all results from it are made again", row.name, reason)
            changed.append(str(path))
    return changed


def _change(row: CheckpointRow, path: Path, manifest: Manifest) -> str:
    """How a user's folder differs from what its manifest says; "" if it does not.

    One that was moved does not differ: the manifest is told where it is now.
    """
    folder = Path(row.location)
    files = manifest.adapter if row.kind == "adapter" else manifest.files
    listed, present = {file.name for file in files}, {file.name for file in files_of(folder, path)}
    for name in sorted(listed ^ present):
        return f"{folder / name} was {'removed' if name in listed else 'added'}"
    if changed := _changed_file(row, path, folder, files):
        return f"{changed} has changed"
    if manifest.source != row.source:
        log.info("%s: %s holds the same files as %s", row.name, row.source, manifest.source)
        with suppress(OSError):  # a read-only results folder, where no job can run either
            write_new_source(path, manifest, row)
    return ""


def _refuse_changed(row: CheckpointRow, path: Path, manifest: Manifest) -> None:
    present = [file for file in manifest.files if (manifest.folder / file.name).is_file()]
    if row.kind == "hub":
        # A file that was cut short is downloaded again when something needs it.
        present = [f for f in present if (manifest.folder / f.name).stat().st_size == f.size]
    if changed := _changed_file(row, path, manifest.folder, present):
        raise StudyError(
            f"{row.name}: {changed} is not as {path} says; restore it, or delete "
            "that manifest and run again"
        )


def _changed_file(
    row: CheckpointRow, path: Path, folder: Path, files: Sequence[File]
) -> Path | None:
    """The first of a manifest's files with another content now; new hashes are remembered."""
    paths, hashes = {folder / file.name: file for file in files}, read_hashes(path)
    if unknown := [file for file in paths if not is_known(file, hashes)]:
        log.info(
            f"{row.name}: hashing {len(unknown)} files: {unknown[0]} has no recorded hash, or its "
            "size or time has changed"
        )
        hashes |= hash_files(unknown, {})
        write_hashes(path, hashes)
    changed = (name for name, file in paths.items() if hashes[str(name)].sha256 != file.sha256)
    return next(changed, None)
