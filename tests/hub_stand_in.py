"""A model hub on 127.0.0.1: its HTTP interface, with faults on order and a record of everything.

What huggingface_hub and a plain ranged GET see of the real hub: model metadata is public (of gated
repositories, too), a private repository looks like one that does not exist, errors come as
X-Error-Code, large files lie in LFS and, if asked for, on another host.

    with HubStandIn() as hub:
        hub.add("owner/name", folder)
        hub.faults["owner/name", "model.safetensors"] = [Cut(1000)]
        HfApi(endpoint=hub.endpoint).model_info("owner/name")
"""

import hashlib
import json
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from hub_handler import Handler, Server
from hub_records import (
    Cut,
    Fault,
    File,
    Repository,
    Request,
    Stall,
    Status,
    Truncated,
    WrongBytes,
    WrongSha256,
    read_file,
)

__all__ = [
    "Cut",
    "HubStandIn",
    "Request",
    "Stall",
    "Status",
    "Truncated",
    "WrongBytes",
    "WrongSha256",
]


class HubStandIn:
    """The hub, as a context manager; `start` and `stop` for what should happen in between.

    Attributes:
        faults: lists of faults, used up one by one. By (repository, file): for GETs of that file.
            By the beginning of a path, such as /api/models/owner/name or /: for every request
            below it.
        requests: all requests that were answered, in order.
        token: the only one that opens gated and private repositories.
        stranger: a token that is valid and opens none of them. Any other token is refused.
        signature: stands in the addresses of the other host, and opens them to whoever has it.
    """

    token = "hf_opens_everything"
    stranger = "hf_opens_nothing"
    signature = "good_for_an_hour"

    def __init__(self, redirect_to_cdn: bool = False) -> None:
        self.faults: dict[tuple[str, str] | str, list[Fault]] = {}
        self.requests: list[Request] = []
        self.repositories: dict[str, Repository] = {}
        self.plain_files: dict[str, bytes] = {}
        self.redirect_to_cdn = redirect_to_cdn
        self.stopped = threading.Event()
        self._lock = threading.Lock()
        self._home = tempfile.TemporaryDirectory(prefix="hub_stand_in_")
        self._servers: dict[str, Server] = {}
        self._ports = {"hub": 0, "cdn": 0}

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._home.cleanup()

    def start(self) -> None:
        """Listen, after a stop on the same ports again."""
        self.stopped.clear()
        for name, port in self._ports.items():
            server = Server(("127.0.0.1", port), Handler, self, name)
            self._ports[name] = server.server_port
            self._servers[name] = server
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        """Be unreachable: connections are refused."""
        self.stopped.set()
        while self._servers:
            _, server = self._servers.popitem()
            server.shutdown()
            server.server_close()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._ports['hub']}"

    @property
    def cdn(self) -> str:
        # Another name, so that it is another host to the client.
        return f"http://localhost:{self._ports['cdn']}"

    def environment(self, home: Path | None = None, token: str = "") -> dict[str, str]:
        """What makes a subprocess's huggingface_hub use this hub, and nothing of the user's.

        Args:
            home: of the client; a folder of this stand-in's own if left out.
        """
        home = home or Path(self._home.name)
        return {
            "HF_ENDPOINT": self.endpoint,
            "HF_HOME": str(home),
            "HF_HUB_CACHE": str(home / "hub"),
            "HF_TOKEN_PATH": str(home / "token"),
            "HF_TOKEN": token,
            "HF_HUB_OFFLINE": "0",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "NO_PROXY": "127.0.0.1,localhost",
        }

    def add(
        self,
        repo: str,
        folder: Path,
        gated: bool = False,
        private: bool = False,
        revisions: Mapping[str, Path | None] | None = None,
    ) -> str:
        """Serve a folder as a repository; once more: new commits, the old ones stay.

        Args:
            revisions: a folder per branch or tag; None: `folder`. Left out: main alone.

        Returns:
            The commit of the first branch, which follows from names and contents alone.
        """
        known = self.repositories.get(repo)
        commits: dict[str, str] = {}
        files = dict(known.files) if known else {}
        for branch, own in (revisions or {"main": None}).items():
            paths = sorted(path for path in (own or folder).rglob("*") if path.is_file())
            found = [read_file(own or folder, path) for path in paths]
            listing = json.dumps([repo, [(file.name, file.sha256) for file in found]])
            commits[branch] = hashlib.sha1(listing.encode()).hexdigest()
            files[commits[branch]] = {file.name: file for file in found}
        self.repositories[repo] = Repository(repo, gated, private, commits, files)
        return next(iter(commits.values()))

    def add_file(self, name: str, content: bytes) -> str:
        """Serve plain bytes, and say under which URL."""
        self.plain_files[name] = content
        return f"{self.endpoint}/files/{name}"

    def sent(self, repo: str, file: str) -> int:
        """How many bytes of a file have gone out, over all its GETs."""
        return sum(
            request.sent
            for request in self.requests
            if (request.repo, request.file) == (repo, file)
        )

    def next_fault(self, key: tuple[str, str] | str) -> Fault | None:
        """Take the next fault for a file, or for the longest beginning of a path."""
        keys = [key]
        if isinstance(key, str):
            starts = [other for other in self.faults if isinstance(other, str)]
            keys = [at for at in starts if f"{key}/".startswith(f"{at.rstrip('/')}/")]
        with self._lock:
            for at in sorted(keys, key=len, reverse=True):
                faults = [it for it in self.faults.get(at, []) if not isinstance(it, WrongSha256)]
                if faults:
                    self.faults[at].remove(faults[0])
                    return faults[0]
        return None

    def digests(self, repo: str, file: File) -> tuple[str, str]:
        """The sha256 and the blob id that the hub announces."""
        if any(isinstance(fault, WrongSha256) for fault in self.faults.get((repo, file.name), [])):
            return file.sha256[::-1], file.blob_id[::-1]
        return file.sha256, file.blob_id
