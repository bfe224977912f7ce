"""A checkpoint from the hub, by huggingface_hub into its own cache; every hash is compared here."""

import logging
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from huggingface_hub import constants, snapshot_download
from huggingface_hub.errors import LocalEntryNotFoundError
from huggingface_hub.utils import WeakFileLock
from huggingface_hub.utils.sha import git_hash

from stillknows.errors import StudyError
from stillknows.files import atomic_path, free_bytes, read_json, write_json
from stillknows.models import hub
from stillknows.models.manifest import Hashed

log = logging.getLogger("stillknows")


class Download(NamedTuple):
    """A local checkpoint: the snapshot `folder` in the hub's cache, whole and verified."""

    folder: Path
    commit: str
    hashes: dict[str, Hashed]  # by the files' paths
    fetched: list[str]  # names of the files that were not there before this study downloaded them


def download(
    repo: str,
    revision: str = "",
    workers: int = 4,
    note: Path | None = None,
    needed: hub.Needed = hub.whole_model,
) -> Download:
    """Download a checkpoint, or find it in the cache; without the hub, if the cache has all of it.

    note: a file in which the next try finds what this one has fetched, should it fail; needed:
    which files of the repository. A HubError if it is not available; a StudyError for a damaged
    file or a full disk.
    """
    try:
        remote = hub.find(repo, revision, needed)
    except hub.HubError as error:
        cached = (
            _cached(repo, revision, needed) if error.status in ("unreachable", "busy") else None
        )
        if cached is None:
            raise
        log.warning("%s; using commit %s from the cache", error, cached.commit)
        remote = cached
    folder, blobs = remote.folder, remote.folder.parents[1] / "blobs"
    locks = Path(constants.HF_HUB_CACHE) / ".locks" / blobs.parent.name
    # What killed downloads have left: whoever still downloads a file holds its lock.
    for partial in blobs.glob("*.incomplete"):
        lock = locks / f"{partial.name.partition('.')[0]}.lock"
        with suppress(OSError), WeakFileLock(lock, timeout=0.1):
            partial.unlink(missing_ok=True)
    absent = [file for file in remote.files if not (folder / file.name).exists()]
    new = [file for file in absent if not (blobs / file.etag).exists()]
    # The library only warns of a full disk, file by file.
    megabytes = sum(file.size for file in new) / 1e6
    free = free_bytes(Path(constants.HF_HUB_CACHE)) / 1e6
    log.info("%s: %d files, %.1f MB to be downloaded", remote, len(remote.files), megabytes)
    if megabytes > free:
        raise StudyError(
            f"{remote} needs {megabytes:.1f} MB more, but {constants.HF_HUB_CACHE} has {free:.1f} "
            "MB free: free some disk space, or set HF_HOME to another folder"
        )
    noted = read_json(note).get(str(folder), []) if note and note.exists() else []
    fetched = sorted({*noted, *(file.name for file in new)})
    if note:
        write_json(note, {str(folder): fetched})
    with hub.one_line(repo, revision):
        if names := [file.name for file in absent]:
            snapshot_download(
                repo, revision=remote.commit, allow_patterns=names, max_workers=workers
            )
        hashes = _verify(remote, workers)
    if revision != remote.commit:
        # For other programs, and for us without the hub. A cache of others may be read-only.
        ref = blobs.parent / "refs" / (revision or "main")
        with suppress(OSError), atomic_path(ref) as partial:
            partial.write_text(remote.commit)
    return Download(folder, remote.commit, hashes, fetched)


def _cached(repo: str, revision: str, needed: hub.Needed) -> hub.RemoteCheckpoint | None:
    """As `hub.find`, from links in the cache alone: they point to blobs named by their hashes."""
    with suppress(LocalEntryNotFoundError, hub.HubError):
        small = list(hub.SMALL_FILES)
        folder = Path(
            snapshot_download(
                repo, revision=revision or None, allow_patterns=small, local_files_only=True
            )
        )
        links = {path.name: path for path in folder.iterdir() if path.is_symlink()}
        files = [
            hub.RemoteFile(name, links[name].stat().st_size, links[name].readlink().name)
            for name in needed(repo, links)
        ]
        return hub.RemoteCheckpoint(repo, folder.name, gated=False, files=files)
    return None


def _verify(remote: hub.RemoteCheckpoint, workers: int) -> dict[str, Hashed]:
    """The hashes of all files; damaged ones are removed, so that the next try downloads them."""
    paths = [remote.folder / file.name for file in remote.files]
    with ThreadPoolExecutor(workers) as pool:
        hashes = dict(zip(map(str, paths), pool.map(Hashed.of, paths), strict=True))
    damaged = []
    for path, file in zip(paths, remote.files, strict=True):
        is_large = len(file.etag) == 64
        etag = hashes[str(path)].sha256 if is_large else git_hash(path.read_bytes())
        if etag != file.etag:
            damaged.append(f"{file.name} (its hash is {etag}, the hub lists {file.etag})")
            path.unlink()
            (remote.folder.parents[1] / "blobs" / file.etag).unlink(missing_ok=True)
    if damaged:
        raise StudyError(
            f"{remote}: damaged, and removed: {', '.join(damaged)}; run again; if this "
            "repeats, run without a mirror or proxy, or ask the repository's owner"
        )
    log.info("%s: the hashes of all files are right", remote)
    return hashes
