"""A model hub on 127.0.0.1: its HTTP interface, with faults on order and a record of everything.

What huggingface_hub sees of the real hub: model metadata is public (of gated repositories, too),
errors come as X-Error-Code, large files lie in LFS and, if asked for, on another host.

    with HubStandIn() as hub:
        hub.add("owner/name", folder)
        hub.faults["owner/name", "model.safetensors"] = [Status(503)]
        HfApi(endpoint=hub.endpoint).model_info("owner/name")
"""

import hashlib
import json
import re
import tempfile
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote, unquote, urlsplit

LFS_SUFFIXES = (".safetensors", ".bin", ".pt", ".gguf", ".model")
CHUNK = 1 << 16


@dataclass(frozen=True)
class Status:
    """An answer with this status and no body, such as 429 or 503."""

    code: int


@dataclass(frozen=True)
class Stall:
    """After so many bytes of the body nothing comes for so many seconds; then the rest does."""

    after_bytes: int
    seconds: float


@dataclass(frozen=True)
class WrongBytes:
    """As many bytes as announced, the last of them another one."""


@dataclass(frozen=True)
class Truncated:
    """Half of the bytes, announced as if they were all."""


Fault = Status | Stall | WrongBytes | Truncated


@dataclass
class Request:
    """One answered request."""

    method: str
    path: str
    status: int
    authorized: bool  # came with an Authorization header
    repo: str
    file: str
    sent: int = 0  # bytes of the body


@dataclass(frozen=True)
class File:
    """A file of a repository, with what git and LFS know of it."""

    name: str
    path: Path
    size: int
    sha256: str
    blob_id: str  # of an LFS file: its pointer's
    pointer_size: int | None  # None: not in LFS


def read_file(folder: Path, path: Path) -> File:
    content = path.read_bytes()
    size, sha256, pointer_size = len(content), hashlib.sha256(content).hexdigest(), None
    if path.suffix in LFS_SUFFIXES:
        content = b"version https://git-lfs.github.com/spec/v1\n"
        content += f"oid sha256:{sha256}\nsize {size}\n".encode()
        pointer_size = len(content)
    blob_id = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    return File(path.relative_to(folder).as_posix(), path, size, sha256, blob_id, pointer_size)


@dataclass(frozen=True)
class Repository:
    """A model repository: the commit of main, and the files of each commit by name."""

    gated: bool
    commits: dict[str, str]
    files: dict[str, dict[str, File]]


class Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64  # with the usual 5, a client's eighth connection waits for a second
    hub: "HubStandIn"


class HubStandIn:
    """The hub, as a context manager; `stop` to make it unreachable earlier.

    Attributes:
        faults: lists of faults, used up one by one, for GETs of (repository, file).
        requests: all requests that were answered, in order.
        token: the only one that opens gated repositories.
        stranger: a token that is valid and opens none of them. Any other token is refused.
        signature: stands in the addresses of the other host.
    """

    token = "hf_opens_everything"
    stranger = "hf_opens_nothing"
    signature = "good_for_an_hour"

    def __init__(self, redirect_to_cdn: bool = False) -> None:
        self.faults: dict[tuple[str, str], list[Fault]] = {}
        self.requests: list[Request] = []
        self.repositories: dict[str, Repository] = {}
        self.plain_files: dict[str, bytes] = {}
        self.redirect_to_cdn = redirect_to_cdn
        self.stopped = threading.Event()
        self._home = tempfile.TemporaryDirectory(prefix="hub_stand_in_")
        self._server = Server(("127.0.0.1", 0), Handler)
        self._server.hub = self
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"
        # Another name, so that it is another host to the client.
        self.cdn = f"http://localhost:{self._server.server_port}/cdn"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._home.cleanup()

    def stop(self) -> None:
        """Be unreachable: connections are refused."""
        if not self.stopped.is_set():
            self.stopped.set()
            self._server.shutdown()
            self._server.server_close()

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

    def add(self, repo: str, folder: Path, gated: bool = False) -> str:
        """Serve a folder as a repository; once more: a new commit of main, the old ones stay.

        Returns:
            The commit, which follows from names and contents alone.
        """
        files = [read_file(folder, path) for path in sorted(folder.rglob("*")) if path.is_file()]
        listing = json.dumps([repo, [(file.name, file.sha256) for file in files]])
        commit = hashlib.sha1(listing.encode()).hexdigest()
        known = self.repositories.get(repo)
        commits = {**(known.files if known else {}), commit: {file.name: file for file in files}}
        branches = {**(known.commits if known else {}), "main": commit}
        self.repositories[repo] = Repository(gated, branches, commits)
        return commit

    def add_file(self, name: str, content: bytes) -> str:
        """Serve plain bytes, and say under which URL."""
        self.plain_files[name] = content
        return f"{self.endpoint}/files/{name}"

    def sent(self, repo: str, file: str) -> int:
        """How many bytes of a file have gone out, over all its GETs."""
        key = (repo, file)
        return sum(it.sent for it in self.requests if (it.repo, it.file) == key)


class Handler(BaseHTTPRequestHandler):
    """Answers one request per connection, so that a stopped server is silent at once."""

    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        self.hub, self.of = self.server.hub, ("", "")
        self.sent_token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        url = urlsplit(self.path)
        path = unquote(url.path)
        if path.startswith("/files/") and path[7:] in self.hub.plain_files:
            self.send_content(self.hub.plain_files[path[7:]], {})
        elif self.sent_token not in ("", self.hub.token, self.hub.stranger):
            self.error(401, "", "Invalid credentials in Authorization header")
        elif match := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/(revision|tree)/(.+))?", path):
            self.answer_api(match[1], match[2] or "revision", match[3] or "main")
        elif match := re.fullmatch(r"(?:/cdn)?/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", url.path):
            self.answer_file(*(unquote(part) for part in match.groups()), path.startswith("/cdn/"))
        else:
            self.error(404, "", "Sorry, we can't find the page you are looking for.")

    do_HEAD = do_GET  # noqa: N815

    def find(self, repo: str, revision: str) -> tuple[str, dict[str, File]] | None:
        """A commit and its files; None after an error was answered."""
        found = self.hub.repositories.get(repo)
        if found is None:
            status = 404 if self.sent_token else 401
            return self.error(status, "RepoNotFound", "Repository not found")
        commit = found.commits.get(revision, revision)
        if commit not in found.files:
            return self.error(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return commit, found.files[commit]

    def answer_api(self, repo: str, what: str, revision: str) -> None:
        found = self.find(repo, revision.split("/")[0] if what == "tree" else revision)
        if found is None:
            return
        keys = ("path", "oid", "oid") if what == "tree" else ("rfilename", "blobId", "sha256")
        listed = []
        for file in found[1].values():
            entry: dict[str, Any] = {keys[0]: file.name, "size": file.size, keys[1]: file.blob_id}
            if file.pointer_size is not None:
                lfs = {keys[2]: file.sha256, "size": file.size, "pointerSize": file.pointer_size}
                entry["lfs"] = lfs
            listed.append(entry | {"type": "file"})
        gated = "manual" if self.hub.repositories[repo].gated else False
        model = {"id": repo, "sha": found[0], "gated": gated, "private": False, "tags": []}
        answer: Any = listed if what == "tree" else model | {"siblings": listed}
        self.send(200, json.dumps(answer).encode(), {"Content-Type": "application/json"})

    def answer_file(self, repo: str, revision: str, name: str, is_cdn: bool) -> None:
        self.of = (repo, name)
        found = self.find(repo, revision)
        if found is None:
            return
        commit = {"X-Repo-Commit": found[0]}
        if self.hub.repositories[repo].gated and self.sent_token != self.hub.token and not is_cdn:
            message = f"Access to model {repo} is restricted."
            return self.error(403 if self.sent_token else 401, "GatedRepo", message)
        file = found[1].get(name)
        if file is None:
            return self.error(404, "EntryNotFound", "Entry not found", commit)
        is_large = file.pointer_size is not None
        headers = commit | {"ETag": f'"{file.sha256 if is_large else file.blob_id}"'}
        if is_large and not is_cdn:
            headers |= {"X-Linked-Etag": headers["ETag"], "X-Linked-Size": str(file.size)}
            if self.hub.redirect_to_cdn:
                path = f"{repo}/resolve/{found[0]}/{quote(name)}?Signature={self.hub.signature}"
                return self.send(302, b"", headers | {"Location": f"{self.hub.cdn}/{path}"})
        self.send_content(file.path.read_bytes(), headers)

    def error(
        self, status: int, code: str, message: str, headers: dict[str, str] | None = None
    ) -> None:
        headers = (headers or {}) | {"X-Error-Message": message}
        if code:
            headers["X-Error-Code"] = code
        self.send(status, json.dumps({"error": message}).encode(), headers)

    def send_content(self, content: bytes, headers: dict[str, str]) -> None:
        """A file, or the rest of it that was asked for, with the next fault that is due."""
        headers = {"Accept-Ranges": "bytes", "Content-Type": "application/octet-stream"} | headers
        status, size = 200, len(content)
        if match := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")):
            first, last = int(match[1]), min(int(match[2] or size - 1), size - 1)
            status, content = 206, content[first : last + 1]
            headers["Content-Range"] = f"bytes {first}-{last}/{size}"
        faults = self.hub.faults.get(self.of, []) if self.command == "GET" else []
        match faults.pop(0) if faults else None:
            case Status(code):
                self.send(code, b"", {})
            case Stall(after_bytes, seconds):
                self.send(status, content, headers, after_bytes, seconds)
            case WrongBytes():
                self.send(status, content[:-1] + bytes([content[-1] ^ 1]), headers)
            case Truncated():
                self.send(status, content[: len(content) // 2], headers)
            case _:
                self.send(status, content, headers)

    def send(
        self,
        status: int,
        content: bytes,
        headers: dict[str, str],
        pause: int | None = None,
        seconds: float = 0.0,
    ) -> None:
        """The answer; perhaps with a pause at a byte of its body."""
        self.close_connection = True
        self.send_response_only(status)
        for key, value in {**headers, "Connection": "close"}.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(content)))
        record = Request(self.command, self.path, status, bool(self.sent_token), *self.of)
        self.hub.requests.append(record)
        body = b"" if self.command == "HEAD" else content
        try:
            self.end_headers()
            for part in (body[:pause], body[pause:] if pause is not None else b""):
                for start in range(0, len(part), CHUNK):
                    chunk = part[start : start + CHUNK]
                    # Before it goes out: who has received the last byte finds all of them counted.
                    record.sent += len(chunk)
                    self.wfile.write(chunk)
                if pause is not None:
                    self.hub.stopped.wait(seconds)
        except ConnectionError:
            pass  # The client has had enough.

    def log_message(self, *_: object) -> None:
        """Nothing on standard error: the record is in `requests`."""
