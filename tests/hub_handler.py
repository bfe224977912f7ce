"""How the hub stand-in answers HTTP requests."""

import json
import re
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

from hub_records import Cut, Fault, File, Repository, Request, Stall, Status, Truncated, WrongBytes

if TYPE_CHECKING:
    from hub_stand_in import HubStandIn

CHUNK = 1 << 16


class Server(ThreadingHTTPServer):
    """One of the two servers of a stand-in."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 64  # with the usual 5, a client's eighth connection waits for a second

    def __init__(self, address: Any, handler: Any, hub: "HubStandIn", name: str) -> None:
        super().__init__(address, handler)
        self.hub, self.name = hub, name


class Handler(BaseHTTPRequestHandler):
    """Answers one request per connection, so that a stopped server is silent at once."""

    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        path = unquote(url.path)
        self.hub = self.server.hub
        self.of = ("", "")
        if fault := self.hub.next_fault(path):
            self.fault(fault, b"")
        elif self.server.name == "cdn":
            self.answer_cdn(*parse_qs(url.query)["repo"], *path.strip("/").split("/", 1))
        elif path.startswith("/files/") and path[7:] in self.hub.plain_files:
            self.send_content(self.hub.plain_files[path[7:]], {})
        elif self.bad_token:
            self.error(401, "", "Invalid credentials in Authorization header")
        elif path == "/api/whoami-v2":
            known = {"type": "user", "name": "someone", "orgs": []}
            self.send_json(known) if self.sent_token else self.error(401, "", "Invalid username")
        elif match := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/(revision|tree)/(.+))?", path):
            repo, what, revision = match.groups()
            self.answer_api(repo, what or "revision", revision or "main", url.query)
        elif match := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", url.path):
            repo, revision, name = (unquote(part) for part in match.groups())
            self.answer_file(repo, revision, name)
        else:
            self.error(404, "", "Sorry, we can't find the page you are looking for.")

    def do_HEAD(self) -> None:
        self.do_GET()

    @property
    def sent_token(self) -> str:
        return self.headers.get("Authorization", "").removeprefix("Bearer ")

    @property
    def bad_token(self) -> bool:
        return self.sent_token not in ("", self.hub.token, self.hub.stranger)

    def find(self, repo: str, revision: str) -> tuple[Repository, str] | None:
        """A repository and a commit; None after an error was answered."""
        found = self.hub.repositories.get(repo)
        if found is None or (found.private and self.sent_token != self.hub.token):
            status = 404 if self.sent_token else 401
            self.error(status, "RepoNotFound", "Repository not found")
            return None
        commit = found.commits.get(revision, revision)
        if commit not in found.files:
            self.error(404, "RevisionNotFound", f"Invalid rev id: {revision}")
            return None
        return found, commit

    def answer_api(self, repo: str, what: str, revision: str, query: str) -> None:
        found = self.find(repo, revision.split("/")[0] if what == "tree" else revision)
        if found is None:
            return
        files = list(found[0].files[found[1]].values())
        if what == "tree":
            self.send_json([self.describe(repo, file, "path", "oid", "oid") for file in files])
            return
        siblings: list[dict[str, Any]] = [{"rfilename": file.name} for file in files]
        if parse_qs(query).get("blobs", ["false"])[0].lower() in ("true", "1"):
            siblings = [self.describe(repo, it, "rfilename", "blobId", "sha256") for it in files]
        gated = "manual" if found[0].gated else False
        answer = {"id": repo, "modelId": repo, "sha": found[1], "gated": gated}
        self.send_json(answer | {"private": found[0].private, "siblings": siblings, "tags": []})

    def describe(self, repo: str, file: File, name: str, blob: str, lfs: str) -> dict[str, Any]:
        """One file as the API lists it, under the keys of this kind of listing."""
        sha256, blob_id = self.hub.digests(repo, file)
        entry: dict[str, Any] = {name: file.name, "size": file.size, blob: blob_id}
        if name == "path":
            entry["type"] = "file"
        if file.pointer_size is not None:
            entry["lfs"] = {lfs: sha256, "size": file.size, "pointerSize": file.pointer_size}
        return entry

    def answer_file(self, repo: str, revision: str, name: str) -> None:
        self.of = (repo, name)
        found = self.find(repo, revision)
        if found is None:
            return
        commit = {"X-Repo-Commit": found[1]}
        if found[0].gated and self.sent_token != self.hub.token:
            message = f"Access to model {repo} is restricted."
            return self.error(403 if self.sent_token else 401, "GatedRepo", message)
        file = found[0].files[found[1]].get(name)
        if file is None:
            return self.error(404, "EntryNotFound", "Entry not found", commit)
        sha256, blob_id = self.hub.digests(repo, file)
        headers = commit | {"ETag": f'"{blob_id}"'}
        if file.pointer_size is not None:
            headers |= {"X-Linked-Etag": f'"{sha256}"', "X-Linked-Size": str(file.size)}
            headers["ETag"] = f'"{sha256}"'
            if self.hub.redirect_to_cdn:
                query = f"repo={quote(repo)}&Signature={self.hub.signature}"
                headers["Location"] = f"{self.hub.cdn}/{found[1]}/{quote(name)}?{query}"
                return self.send(302, b"", headers)
        self.send_content(file.path.read_bytes(), headers)

    def answer_cdn(self, repo: str, commit: str, name: str) -> None:
        self.of = (repo, name)
        file = self.hub.repositories[repo].files[commit][name]
        headers = {"ETag": f'"{file.sha256}"', "Content-Disposition": f'filename="{name}";'}
        self.send_content(file.path.read_bytes(), headers)

    def error(
        self, status: int, code: str, message: str, headers: dict[str, str] | None = None
    ) -> None:
        headers = (headers or {}) | {"X-Error-Message": message}
        if code:
            headers["X-Error-Code"] = code
        self.send(status, json.dumps({"error": message}).encode(), headers)

    def send_json(self, content: Any) -> None:
        self.send(200, json.dumps(content).encode(), {"Content-Type": "application/json"})

    def send_content(self, content: bytes, headers: dict[str, str]) -> None:
        """A file, or the range of it that was asked for, with the next fault that is due."""
        headers = {"Accept-Ranges": "bytes", "Content-Type": "application/octet-stream"} | headers
        fault = self.hub.next_fault(self.of) if self.command == "GET" else None
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        same = self.headers.get("If-Range", headers.get("ETag")) == headers.get("ETag")
        status, size = 200, len(content)
        if asked and same:
            first, last = int(asked[1]), min(int(asked[2] or size - 1), size - 1)
            if first > last:
                return self.send(416, b"", headers | {"Content-Range": f"bytes */{size}"})
            status, content = 206, content[first : last + 1]
            headers["Content-Range"] = f"bytes {first}-{last}/{size}"
        if fault:
            return self.fault(fault, content, status, headers)
        self.send(status, content, headers)

    def fault(
        self, fault: Fault, content: bytes, status: int = 200, headers: dict[str, str] | None = None
    ) -> None:
        headers = headers or {}
        match fault:
            case Status(code, retry_after):
                wait = {} if retry_after is None else {"Retry-After": str(retry_after)}
                self.send(code, b"", wait)
            case Cut(after_bytes):
                # Without a body to cut, an announced one never comes.
                self.send(status, content or b"-", headers, stop_at=after_bytes)
            case Stall(after_bytes, seconds):
                body = content or b"-"  # announced, so that the client waits for it
                self.send(status, body, headers, wait_at=after_bytes, seconds=seconds)
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
        stop_at: int | None = None,
        wait_at: int | None = None,
        seconds: float = 0.0,
    ) -> None:
        """The answer; its body perhaps cut or with a pause at a byte."""
        self.close_connection = True
        self.send_response_only(status)
        dated = {"Date": formatdate(usegmt=True), "Connection": "close"}
        for key, value in (headers | dated | {"Content-Length": str(len(content))}).items():
            self.send_header(key, value)
        asked = self.headers.get("Range", "")
        who = (self.server.name, bool(self.sent_token))
        self.record = Request(self.command, self.path, asked, status, *who, *self.of)
        self.hub.requests.append(self.record)
        body = b"" if self.command == "HEAD" else content[:stop_at]
        pause = len(body) if wait_at is None else wait_at
        try:
            self.end_headers()
            self.send_bytes(body[:pause])
            if wait_at is not None:
                self.hub.stopped.wait(seconds)
            self.send_bytes(body[pause:])
        except ConnectionError:
            pass  # The client has had enough.

    def send_bytes(self, content: bytes) -> None:
        for start in range(0, len(content), CHUNK):
            chunk = content[start : start + CHUNK]
            # Before it goes out: who has received the last byte finds all of them counted.
            self.record.sent += len(chunk)
            self.wfile.write(chunk)

    def log_message(self, *_: object) -> None:
        """Nothing on standard error: the record is in `requests`."""
