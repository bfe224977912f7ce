"""The hub's own cache folder, in its own layout: other programs find our files, and we find theirs.

    models--owner--name/blobs/<hash>               the bytes; <hash>.incomplete while they arrive
    models--owner--name/snapshots/<commit>/<file>  a link to the blob
    models--owner--name/refs/<branch>              the commit
    .locks/models--owner--name/<hash>.lock         held by the process that fetches a blob

and of our own, beside them:

    models--owner--name/dissect/<hash>.fetched     empty: this workflow brought that blob
    models--owner--name/dissect/<commit>.json      the needed files, once they were all here
"""

import json
import logging
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from threading import Event

from huggingface_hub import constants
from huggingface_hub.file_download import are_symlinks_supported, repo_folder_name
from huggingface_hub.utils import WeakFileLock

from dissect.checkpoints.fetch import StoppedError
from dissect.checkpoints.hub import (
    INDEX,
    TOKENIZERS,
    HubError,
    RemoteCheckpoint,
    RemoteFile,
    needed,
)
from dissect.errors import DissectError
from dissect.files import atomic_path, read_json, write_json

log = logging.getLogger("dissect")

_LOCK_SECONDS = 1.0


class RepoCache:
    """One repository's folder in the cache."""

    def __init__(self, repo: str) -> None:
        self.repo = repo
        self.root = Path(constants.HF_HUB_CACHE).absolute()
        self.folder = self.root / repo_folder_name(repo_id=repo, repo_type="model")

    def snapshot(self, commit: str) -> Path:
        return self.folder / "snapshots" / commit

    def blob(self, file: RemoteFile) -> Path:
        return self.folder / "blobs" / file.etag

    def partial(self, file: RemoteFile) -> Path:
        """Always the same name, so that the next process finds what a killed one has left."""
        return self.folder / "blobs" / f"{file.etag}.incomplete"

    def existing(self, commit: str, file: RemoteFile) -> Path | None:
        """A file of a snapshot, or its blob alone, if it is there."""
        candidates = (self.snapshot(commit) / file.name, self.blob(file))
        return next((path for path in candidates if path.is_file()), None)

    def missing_bytes(self, commit: str, file: RemoteFile) -> int:
        """How many bytes of a file are still to come."""
        if self.existing(commit, file):
            return 0
        partial = self.partial(file)
        there = partial.stat().st_size if partial.exists() else 0
        return max(file.size - there, 0)

    def place(self, commit: str, file: RemoteFile) -> None:
        """Link a snapshot's file to its blob, if it is not yet; as the hub's own client does."""
        pointer, blob = self.snapshot(commit) / file.name, self.blob(file)
        if not blob.is_file() or (pointer.is_symlink() and pointer.is_file()):
            return
        pointer.parent.mkdir(parents=True, exist_ok=True)
        if are_symlinks_supported(self.root):
            pointer.unlink(missing_ok=True)
            # Another process may make the same link at this moment.
            with suppress(FileExistsError):
                pointer.symlink_to(Path("../../blobs") / blob.name)
        else:
            blob.replace(pointer)

    def drop(self, commit: str, file: RemoteFile) -> None:
        """Take a damaged file away, before anyone reads it."""
        (self.snapshot(commit) / file.name).unlink(missing_ok=True)
        self.blob(file).unlink(missing_ok=True)

    @contextmanager
    def lock(self, file: RemoteFile, stop: Event) -> Iterator[None]:
        """Wait for the lock that the hub's own client takes, too."""
        path = self.root / ".locks" / self.folder.name / f"{file.etag}.lock"
        path.parent.mkdir(parents=True, exist_ok=True)
        waits = 0
        with ExitStack() as stack:
            while True:
                try:
                    stack.enter_context(WeakFileLock(path, timeout=_LOCK_SECONDS))
                    break
                except TimeoutError:
                    if waits == 0:
                        log.info("%s: another process fetches it; waiting for it", file.name)
                    waits += 1
                if stop.is_set():
                    raise StoppedError
            yield

    def mark_fetched(self, file: RemoteFile) -> None:
        """Note that this workflow brought a blob: once it is complete, before it has its name."""
        self._mark(file).parent.mkdir(parents=True, exist_ok=True)
        self._mark(file).touch()

    def was_fetched(self, commit: str, file: RemoteFile) -> bool:
        """Whether it did; not so if another program put the blob there again since then."""
        path, mark = self.existing(commit, file), self._mark(file)
        if path is None or not mark.exists():
            return False
        return path.stat().st_mtime_ns <= mark.stat().st_mtime_ns

    def _mark(self, file: RemoteFile) -> Path:
        return self.folder / "dissect" / f"{file.etag}.fetched"

    def commit_of(self, revision: str) -> str | None:
        """The commit that a revision was the last time the hub said so."""
        if is_commit(revision):
            return revision
        ref = self._ref(revision)
        return ref.read_text().strip() if ref.is_file() else None

    def _ref(self, revision: str) -> Path:
        return self.folder / "refs" / (revision or constants.DEFAULT_REVISION)

    def remember(self, remote: RemoteCheckpoint, revision: str) -> None:
        """Note that all files of a commit are here, and which commit a branch is."""
        listing = self.folder / "dissect" / f"{remote.commit}.json"
        if not listing.exists():
            write_json(listing, asdict(remote))
        if self.commit_of(revision) != remote.commit:
            with atomic_path(self._ref(revision)) as partial:
                partial.write_text(remote.commit)

    def recall(self, commit: str) -> RemoteCheckpoint | None:
        """What the hub said of a commit that was here as a whole once."""
        listing = self.folder / "dissect" / f"{commit}.json"
        if not listing.is_file():
            return None
        raw = read_json(listing)
        return RemoteCheckpoint(**raw | {"files": tuple(RemoteFile(**it) for it in raw["files"])})

    def complete(self, commit: str) -> RemoteCheckpoint | None:
        """A snapshot that another program brought, if it is whole: blobs are named by their hash.

        Which files the repository holds is not known here, so what makes a checkpoint is asked
        for: config, a tokenizer, and the weights that the index names.
        """
        snapshot = self.snapshot(commit)
        if not snapshot.is_dir():
            return None
        links = [path for path in snapshot.iterdir() if path.is_symlink() and path.is_file()]
        names = {path.name for path in links}
        try:
            chosen = needed(self.repo, names, lambda: index_shards(snapshot))
        except HubError:
            return None
        if names.isdisjoint(TOKENIZERS):
            return None
        files = tuple(_file(snapshot / name) for name in chosen)
        return RemoteCheckpoint(self.repo, commit, gated=False, files=files)


def remove(folder: Path, names: Sequence[str]) -> int:
    """Delete files of a snapshot from the cache, and their bytes where no other snapshot has them.

    Args:
        folder: a checkpoint's snapshot.
        names: of files there; one that is gone already is fine.

    Returns:
        The bytes that are free now.

    Raises:
        DissectError: if the folder is no snapshot in a hub's cache; nothing is deleted.
    """
    repo = folder.parent.parent
    if folder.parent.name != "snapshots" or not repo.name.startswith("models--"):
        raise DissectError(f"{folder} is no snapshot in the hub's cache: nothing is deleted there")
    freed = 0
    for name in names:
        pointer = folder / name
        if pointer.parent != folder or not os.path.lexists(pointer):
            continue
        if not pointer.is_symlink():
            freed += pointer.stat().st_size
            pointer.unlink()
            continue
        blob = repo / "blobs" / pointer.readlink().name
        pointer.unlink()
        if blob.name not in _linked(repo) and os.path.lexists(blob):
            freed += blob.lstat().st_size
            blob.unlink()
            (repo / "dissect" / f"{blob.name}.fetched").unlink(missing_ok=True)
    return freed


def _linked(repo: Path) -> set[str]:
    """The blobs that any snapshot of a repository links to."""
    links = (path for path in (repo / "snapshots").rglob("*") if path.is_symlink())
    return {path.readlink().name for path in links}


def is_commit(revision: str) -> bool:
    return re.fullmatch("[0-9a-f]{40}", revision) is not None


def index_shards(folder: Path) -> list[str]:
    """The files that a folder's index of weights names; none if it cannot be read."""
    try:
        index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    except ValueError:
        return []
    return sorted(set(index.get("weight_map", {}).values()))


def _file(pointer: Path) -> RemoteFile:
    # One step only: a blob may itself be a link, into a store that repositories share.
    etag = pointer.readlink().name
    sha256 = etag if len(etag) == 64 else None
    return RemoteFile(pointer.name, pointer.stat().st_size, sha256, blob_id=etag)
