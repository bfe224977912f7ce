"""A checkpoint from the hub, whole and with every hash compared, in the hub's own cache folder."""

import errno
import logging
import os
import time
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from dissect.checkpoints.cache import RepoCache, is_commit
from dissect.checkpoints.cache import remove as remove
from dissect.checkpoints.digest import Digest, RemoteFile
from dissect.checkpoints.fetch import FULL, fetch
from dissect.checkpoints.hub import HubError, RemoteCheckpoint, find
from dissect.checkpoints.patience import TRIES
from dissect.errors import DissectError
from dissect.files import free_bytes

log = logging.getLogger("dissect")

DAMAGED_TRIES = 3
READ_ONLY = {errno.EACCES, errno.EPERM, errno.EROFS}


@dataclass(frozen=True)
class Download:
    """A checkpoint that is here.

    Attributes:
        folder: the snapshot in the hub's cache.
        commit: 40 hexadecimal digits.
        sha256: of every file; computed from what is on disk, and right.
        fetched: the files that this workflow brought, now or in an earlier run that was
            interrupted; what lay in a shared cache before is not among them.
    """

    folder: Path
    commit: str
    sha256: dict[str, str]
    fetched: list[str]


def download(repo: str, revision: str = "", workers: int = 4) -> Download:
    """Bring a checkpoint here, or find it here.

    What a killed run has left is continued. Without a network, what the cache holds is used if
    it is whole; a commit that this workflow once brought as a whole is not asked for again.

    Args:
        repo: owner/name.
        revision: a commit, branch or tag; the default branch if left out.
        workers: how many files are fetched at a time.

    Raises:
        HubError: if it cannot be had.
        DissectError: if a file stays damaged, or the disk or its permissions are in the way.
    """
    cache = RepoCache(repo)
    remote, told_now = _remote(cache, repo, revision)
    _plan(cache, remote)
    started = time.monotonic()
    try:
        sha256 = _bring_all(cache, remote, workers)
    except OSError as error:
        raise _in_one_line(error, cache) from None
    if told_now:
        _remember(cache, remote, revision)
    log.info(
        "hub:%s at %s: %d files, %.1f MB, all hashes right, in %.1f s",
        repo,
        remote.commit,
        len(remote.files),
        remote.size / 1e6,
        time.monotonic() - started,
    )
    fetched = [file.name for file in remote.files if cache.was_fetched(remote.commit, file)]
    return Download(cache.snapshot(remote.commit), remote.commit, sha256, fetched)


def _remote(cache: RepoCache, repo: str, revision: str) -> tuple[RemoteCheckpoint, bool]:
    """What is to be brought, and whether the hub has just said so."""
    commit = cache.commit_of(revision)
    known = cache.recall(commit) if commit else None
    if known and is_commit(revision):
        return known, False  # a commit never changes: there is nothing to ask
    here = known or (cache.complete(commit) if commit else None)
    try:
        # With all of it here, a hub that does not answer is not worth a minute.
        return find(repo, revision, tries=2 if here else TRIES), True
    except HubError as error:
        if here is None or error.status not in ("unreachable", "busy"):
            raise
        log.warning(
            "hub:%s is %s: going on with what the cache holds, commit %s",
            repo,
            error.status,
            here.commit,
        )
        return here, False


def _in_one_line(error: OSError, cache: RepoCache) -> Exception:
    if error.errno in READ_ONLY:
        return DissectError(
            f"{cache.folder} cannot be written to ({os.strerror(error.errno)}): "
            "let HF_HOME or HF_HUB_CACHE name a folder of your own"
        )
    if error.errno in FULL:
        return DissectError(
            f"no space left in {cache.folder}; what has arrived is kept: "
            "free some disk space and run again"
        )
    return error


def _remember(cache: RepoCache, remote: RemoteCheckpoint, revision: str) -> None:
    try:
        cache.remember(remote, revision)
    except OSError as error:
        if error.errno not in READ_ONLY:
            raise
        # A shared cache that others fill: all is here, only the next run has to ask again.
        log.info("%s may only be read: nothing is noted there", cache.folder)


def _plan(cache: RepoCache, remote: RemoteCheckpoint) -> None:
    """Say how much is to be fetched; refuse what the disk cannot hold."""
    missing = sum(cache.missing_bytes(remote.commit, file) for file in remote.files)
    log.info(
        "hub:%s at %s: %d files, %.1f MB; %.1f MB of them to fetch",
        remote.repo,
        remote.commit,
        len(remote.files),
        remote.size / 1e6,
        missing / 1e6,
    )
    free = free_bytes(cache.root)
    if missing > free:
        raise DissectError(
            f"hub:{remote.repo} needs {missing / 1e6:.1f} MB more, {cache.root} has "
            f"{free / 1e6:.1f} MB free: free some disk space, or let HF_HOME name another folder"
        )


def _bring_all(cache: RepoCache, remote: RemoteCheckpoint, workers: int) -> dict[str, str]:
    """All files, several at a time; the first failure ends the others at their next chunk."""
    stop = Event()
    pool = ThreadPoolExecutor(max_workers=workers, thread_name_prefix="download")
    try:
        futures: dict[Future[str], str] = {
            pool.submit(_bring, cache, remote, file, stop): file.name for file in remote.files
        }
        done, _ = wait(futures, return_when=FIRST_EXCEPTION)
        for future in done:
            future.result()
        return {name: future.result() for future, name in futures.items()}
    finally:
        stop.set()
        pool.shutdown(cancel_futures=True)


def _bring(cache: RepoCache, remote: RemoteCheckpoint, file: RemoteFile, stop: Event) -> str:
    """One file, right and in its place; returns its sha256."""
    digest = _digest(cache, remote, file)
    if digest is None or not digest.right:
        with cache.lock(file, stop):
            # Again, now that no other process writes: it may have brought the file meanwhile.
            digest = _digest(cache, remote, file)
            if digest is not None and not digest.right:
                log.warning(
                    "%s in the cache is damaged: %s; fetching it again",
                    file.name,
                    digest.difference,
                )
                cache.drop(remote.commit, file)
            if digest is None or not digest.right:
                digest = _fetch_right(cache, remote, file, stop)
    cache.place(remote.commit, file)
    return digest.sha256


def _digest(cache: RepoCache, remote: RemoteCheckpoint, file: RemoteFile) -> Digest | None:
    path = cache.existing(remote.commit, file)
    return Digest.of(path, file) if path else None


def _fetch_right(
    cache: RepoCache, remote: RemoteCheckpoint, file: RemoteFile, stop: Event
) -> Digest:
    partial = cache.partial(file)
    partial.parent.mkdir(parents=True, exist_ok=True)
    for attempt in range(1, DAMAGED_TRIES + 1):
        digest = fetch(remote, file, partial, stop)
        if digest.right:
            cache.mark_fetched(file)
            partial.replace(cache.blob(file))
            return digest
        partial.unlink()
        log.warning(
            "%s came damaged: %s (try %d of %d)",
            file.name,
            digest.difference,
            attempt,
            DAMAGED_TRIES,
        )
    raise DissectError(
        f"hub:{remote.repo} at {remote.commit}: {file.name} came damaged {DAMAGED_TRIES} times: "
        f"{digest.difference}; try without the mirror or proxy in between, or ask its owner"
    )
