"""The bytes of one file, from where they stopped: after a cut connection, or in a killed process.

The hub's own client starts a file anew in every process, and compares no hash.
"""

import errno
import logging
import os
import time
from io import FileIO
from pathlib import Path
from threading import Event
from types import TracebackType
from typing import Any, Self

from huggingface_hub import constants, get_session, hf_raise_for_status

from dissect.checkpoints.digest import Digest, RemoteFile
from dissect.checkpoints.hub import RemoteCheckpoint, file_url, request_headers
from dissect.checkpoints.hub_errors import told
from dissect.checkpoints.patience import CutShortError, HTTPError, Patience
from dissect.errors import DissectError

log = logging.getLogger("dissect")

FULL = {errno.ENOSPC, errno.EDQUOT}


class StoppedError(Exception):
    """Another file failed, or the user stopped the program."""


def fetch(remote: RemoteCheckpoint, file: RemoteFile, path: Path, stop: Event) -> Digest:
    """Bring `path` to the file's full size, and return the digest of all that is in it.

    Args:
        path: may hold the file's first bytes already.
        stop: set by another thread, it ends this fetch; what has arrived stays.

    Raises:
        HubError: if the hub refuses the file, or after `TRIES` tries that brought nothing.
        DissectError: if the hub's file is shorter than announced, or the disk is full.
    """
    patience = Patience(f"hub:{remote.repo}, {file.name}", sleep=stop.wait)
    with told(remote.repo, remote.commit), Partial(path, file) as partial:
        progress = Progress(file, partial.size)
        furthest = partial.size
        while partial.size < file.size:
            try:
                _read_on(remote, partial, progress, stop)
            except (HTTPError, CutShortError) as error:
                # A server that starts at 0 each time and breaks off in one place gets nowhere.
                if partial.size > furthest:
                    furthest = partial.size
                    patience.got_further()
                _wait(patience, error, remote, file)
                if stop.is_set():
                    raise StoppedError from None
        progress.end(partial.size)
        return partial.digest


def _wait(patience: Patience, error: Exception, remote: RemoteCheckpoint, file: RemoteFile) -> None:
    try:
        patience.wait_after(error)
    except CutShortError:
        raise DissectError(
            f"hub:{remote.repo} at {remote.commit}: {file.name}: {error}, "
            f"{patience.tries} times over; the hub's file, or the mirror's, is damaged"
        ) from None


def _read_on(
    remote: RemoteCheckpoint, partial: "Partial", progress: "Progress", stop: Event
) -> None:
    file = partial.file
    headers = request_headers()
    if partial.size:
        headers["Range"] = f"bytes={partial.size}-"
    with get_session().stream(
        "GET",
        file_url(remote.repo, remote.commit, file.name),
        headers=headers,
        # Between two reads: a stalled connection is a cut one.
        timeout=constants.HF_HUB_DOWNLOAD_TIMEOUT,
        follow_redirects=True,  # the library leaves the token out where the host is another one
    ) as answer:
        if answer.status_code == 416:
            seen = partial.size
            partial.restart()
            raise CutShortError(f"it ends after {seen} of {file.size} bytes")
        hf_raise_for_status(answer)
        if not _goes_on(answer, partial.size):
            partial.restart()
        for chunk in answer.iter_bytes():
            if stop.is_set():
                raise StoppedError
            partial.append(chunk)
            progress.show(partial.size)
            if partial.size > file.size:
                return  # too long: its digest will not be right
    if partial.size < file.size:
        raise CutShortError(f"it ends after {partial.size} of {file.size} bytes")


def _goes_on(answer: Any, start: int) -> bool:
    """Whether an answer begins at the byte that was asked for; servers may ignore a range."""
    if answer.status_code != 206:
        return start == 0
    return str(answer.headers.get("Content-Range", "")).startswith(f"bytes {start}-")


class Partial:
    """A file on disk that grows by appending, its digest kept up with it."""

    def __init__(self, path: Path, file: RemoteFile) -> None:
        self.path, self.file = path, file
        if path.exists() and path.stat().st_size > file.size:
            path.unlink()
        self.digest = Digest.of(path, file) if path.exists() else Digest(file)

    def __enter__(self) -> Self:
        # Unbuffered: what a killed process had received is in the file.
        self._stream = FileIO(self.path, "ab")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stream.close()

    @property
    def size(self) -> int:
        return self.digest.size

    def append(self, chunk: bytes) -> None:
        """Add bytes to the file and its digest.

        Raises:
            DissectError: if the disk is full, or the file has grown by itself: there are file
                systems, Lustre and NFS among them, that grant a lock to everyone.
        """
        if os.fstat(self._stream.fileno()).st_size != self.size:
            raise DissectError(
                f"another process writes {self.file.name} into {self.path.parent}, too, and locks "
                "do not hold there: let one download run at a time"
            )
        try:
            write_all(self._stream, chunk)
        except OSError as error:
            if error.errno not in FULL:
                raise
            raise DissectError(
                f"no space left in {self.path.parent} after {self.size / 1e6:.1f} of "
                f"{self.file.size / 1e6:.1f} MB of {self.file.name}; what has arrived is kept: "
                "free some disk space and run again, it goes on from there"
            ) from None
        self.digest.update(chunk)

    def restart(self) -> None:
        self._stream.truncate(0)
        self.digest = Digest(self.file)


def write_all(stream: FileIO, chunk: bytes) -> None:
    """Write a chunk whole; a plain write takes less of it when the disk is nearly full."""
    rest = memoryview(chunk)
    while rest:
        written = os.write(stream.fileno(), rest)
        if written == 0:  # else this would go on for ever
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        rest = rest[written:]


class Progress:
    """Lines in the log: at every tenth of a file, not more often than each 10 s, at least once
    a minute, and at the end."""

    def __init__(self, file: RemoteFile, size: int) -> None:
        self.file, self.start = file, size
        self.began = self.last = time.monotonic()
        self.shown = size
        if size:
            log.info("%s: going on at %.1f of %.1f MB", file.name, size / 1e6, file.size / 1e6)

    def show(self, size: int) -> None:
        waited = time.monotonic() - self.last
        if waited < 10 or (waited < 60 and size - self.shown < self.file.size / 10):
            return
        self.last, self.shown = time.monotonic(), size
        log.info(
            "%s: %.1f of %.1f MB, %s",
            self.file.name,
            size / 1e6,
            self.file.size / 1e6,
            self._speed(size),
        )

    def end(self, size: int) -> None:
        if size >= 1e6:
            log.info("%s: all %.1f MB there, %s", self.file.name, size / 1e6, self._speed(size))

    def _speed(self, size: int) -> str:
        seconds = max(time.monotonic() - self.began, 1e-3)
        return f"{max(size - self.start, 0) / 1e6 / seconds:.1f} MB/s"
