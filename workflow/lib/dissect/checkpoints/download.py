"""A checkpoint from the hub, by huggingface_hub into its own cache; every hash is compared here."""

import logging
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import constants, snapshot_download
from huggingface_hub.errors import LocalEntryNotFoundError
from huggingface_hub.file_download import repo_folder_name
from huggingface_hub.utils import WeakFileLock
from huggingface_hub.utils.sha import git_hash

from dissect.checkpoints import hub
from dissect.errors import DissectError
from dissect.files import atomic_path, free_bytes, read_json, sha256_of, write_json

log = logging.getLogger("dissect")


@dataclass(frozen=True)
class Download:
    """A local checkpoint: the snapshot `folder` in the hub's cache, whole and verified.

    `fetched` names the files that were not in the cache before this study downloaded them.
    """

    folder: Path
    commit: str
    sha256: dict[str, str]
    fetched: list[str]


def download(repo: str, revision: str = "", workers: int = 4, note: Path | None = None) -> Download:
    """Download a checkpoint, or find it in the cache; without the hub, if the cache has all of it.

    Args:
        revision: a commit, branch or tag; "": the default branch.
        workers: how many files are downloaded at a time.
        note: a file in which the next try finds what this one has fetched, should it fail.

    Raises:
        HubError: if it is not available.
        DissectError: if a file is damaged, or the disk or its permissions do not allow it.
    """
    remote, root = _remote(repo, revision), Path(constants.HF_HUB_CACHE).absolute()
    cache = root / repo_folder_name(repo_id=repo, repo_type="model")
    folder, name = cache / "snapshots" / remote.commit, f"hub:{repo} at {remote.commit}"
    _remove_partials(cache)
    noted = read_json(note).get(str(folder), []) if note and note.exists() else []
    fetched = sorted({*noted, *_missing(remote, cache, name)})
    if note:
        write_json(note, {str(folder): fetched})
    names = [file.name for file in remote.files if not (folder / file.name).exists()]
    with hub.one_line(repo, revision):
        if names:
            snapshot_download(
                repo, revision=remote.commit, allow_patterns=names, max_workers=workers
            )
        sha256 = _verify(remote, cache, workers, name)
    log.info("%s: the hashes of all files are right", name)
    if revision != remote.commit:
        # For other programs, and for us without the hub. A cache of others may be read-only.
        with suppress(OSError), atomic_path(cache / "refs" / (revision or "main")) as ref:
            ref.write_text(remote.commit)
    return Download(folder, remote.commit, sha256, fetched)


def _remote(repo: str, revision: str) -> hub.RemoteCheckpoint:
    try:
        return hub.find(repo, revision)
    except hub.HubError as error:
        cached = _cached(repo, revision) if error.status in ("unreachable", "busy") else None
        if cached is None:
            raise
        log.warning("%s; using commit %s from the cache", error, cached.commit)
        return cached


def _cached(repo: str, revision: str) -> hub.RemoteCheckpoint | None:
    """What the cache has of a repository, if it is whole; its blobs are named by their hashes."""
    small, at = list(hub.SMALL_FILES), revision or None
    with suppress(LocalEntryNotFoundError, hub.HubError):
        folder = Path(
            snapshot_download(repo, revision=at, allow_patterns=small, local_files_only=True)
        )
        links = {path.name: path for path in folder.iterdir() if path.is_symlink()}
        files = [
            hub.RemoteFile(name, links[name].stat().st_size, links[name].readlink().name)
            for name in hub.needed(repo, links)
        ]
        return hub.RemoteCheckpoint(repo, folder.name, gated=False, files=files)
    return None


def _remove_partials(cache: Path) -> None:
    """Remove what killed downloads have left: whoever still downloads a file holds its lock."""
    for partial in cache.glob("blobs/*.incomplete"):
        lock = cache.parent / ".locks" / cache.name / f"{partial.name.partition('.')[0]}.lock"
        with suppress(OSError), WeakFileLock(lock, timeout=0.1):
            partial.unlink(missing_ok=True)


def _missing(remote: hub.RemoteCheckpoint, cache: Path, name: str) -> list[str]:
    """The files that are not in the cache; refuses what its disk cannot hold."""
    snapshot, blobs = cache / "snapshots" / remote.commit, cache / "blobs"
    absent = [
        file
        for file in remote.files
        if not ((snapshot / file.name).exists() or (blobs / file.etag).exists())
    ]
    size, free = sum(file.size for file in absent) / 1e6, free_bytes(cache) / 1e6
    log.info("%s: %d files, %.1f MB to be downloaded", name, len(remote.files), size)
    if size > free:
        raise DissectError(
            f"{name} needs {size:.1f} MB more, {cache.parent} has {free:.1f} MB free: free some "
            "disk space, or let HF_HOME name another folder"
        )
    return [file.name for file in absent]


def _verify(remote: hub.RemoteCheckpoint, cache: Path, workers: int, name: str) -> dict[str, str]:
    """The sha256 of each file; damaged ones are removed, so that the next try downloads them."""
    paths = {file.name: cache / "snapshots" / remote.commit / file.name for file in remote.files}
    with ThreadPoolExecutor(workers) as pool:
        hashes = dict(zip(paths, pool.map(sha256_of, paths.values()), strict=True))
    damaged = []
    for file in remote.files:
        path, etag = paths[file.name], hashes[file.name]
        if len(file.etag) != len(etag):
            etag = git_hash(path.read_bytes())
        if etag != file.etag:
            damaged.append(f"{file.name} (its hash is {etag}, the hub lists {file.etag})")
            path.unlink()
            (cache / "blobs" / file.etag).unlink(missing_ok=True)
    if damaged:
        raise DissectError(
            f"{name}: damaged, and removed: {', '.join(damaged)}; run again, without the mirror or "
            "proxy in between if it stays so, or ask its owner"
        )
    return hashes


def remove(folder: Path, names: Sequence[str]) -> int:
    """Delete files of a snapshot, and their bytes where no other snapshot in the cache has them.

    Files that are gone already are fine. Returns how many bytes were freed.
    """
    cache, freed = folder.parent.parent, 0
    if folder.parent.name != "snapshots" or not cache.name.startswith("models--"):
        raise DissectError(f"{folder} is no snapshot in the hub's cache: nothing is deleted there")
    for path in (folder / Path(name).name for name in names):
        if not os.path.lexists(path):
            continue
        content = cache / "blobs" / path.readlink().name if path.is_symlink() else path
        size = content.lstat().st_size if os.path.lexists(content) else 0
        path.unlink()
        others = (other for other in cache.glob("snapshots/*/*") if other.is_symlink())
        if content.name not in {other.readlink().name for other in others}:
            content.unlink(missing_ok=True)
            freed += size
    return freed
