"""A Hugging Face hub on loopback: its protocol as far as huggingface_hub's client speaks it here.

https://huggingface.co/docs/hub/api
"""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import json
import re
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit


@dataclass
class Repository:
    """A repository.

    Attributes:
        files: what it holds, by name.
        revisions: the commits of its branches and tags.
        listed: files whose digest in the listing is of these bytes.
        most: the bytes of a file after which the connection breaks off, once for each.
        token: what a client must send, if the repository is private.
        gated: whether its owner asks for a sign-in.
        status: what is answered instead of a file.
    """

    files: dict[str, bytes]
    revisions: dict[str, str] = field(default_factory=lambda: {"main": "c" * 40})
    listed: dict[str, bytes] = field(default_factory=dict)
    most: dict[str, int] = field(default_factory=dict)
    token: str | None = None
    gated: bool = False
    status: dict[str, int] = field(default_factory=dict)


@dataclass
class Hub:
    """A hub that runs: its address, its repositories, and what it was asked."""

    address: str
    repositories: dict[str, Repository] = field(default_factory=dict)
    asked: list[tuple[str, str, Mapping[str, str]]] = field(default_factory=list)

    def downloads(self) -> list[str]:
        """Return the files that were downloaded, or begun."""
        return [
            path.partition("/resolve/")[2][41:]
            for verb, path, _ in self.asked
            if verb == "GET" and "/resolve/" in path
        ]


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Any
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else the second part of an answer waits for 40 ms

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: object) -> None:
        """Silence."""

    def _answer(self) -> None:
        hub: Hub = self.server.hub
        path = unquote(urlsplit(self.path).path)
        hub.asked.append((self.command, path, dict(self.headers)))
        match = re.fullmatch(
            r"(?:/api/models)?/(?P<id>[^/]+/[^/]+)"
            r"/(?:revision/(?P<revision>.+)|resolve/(?P<commit>[^/]+)/(?P<file>.+))",
            path,
        )
        repository = hub.repositories.get(match["id"]) if match else None
        is_known = repository and repository.token in (
            None,
            self.headers.get("Authorization", "").removeprefix("Bearer "),
        )
        if not match or repository is None or not is_known:
            self._send(401, {"X-Error-Code": "RepoNotFound"}, b"Invalid username or password.")
        elif repository.gated:
            self._send(403, {"X-Error-Code": "GatedRepo"}, b"Access is restricted.")
        elif match["file"]:
            self._file(repository, match["commit"], match["file"])
        else:
            self._listing(match["id"], repository, match["revision"])

    def _listing(self, name: str, repository: Repository, revision: str) -> None:
        commit = repository.revisions.get(revision, revision)
        if commit not in repository.revisions.values():
            self._send(404, {"X-Error-Code": "RevisionNotFound"}, b"")
            return
        siblings = [
            _listed(name, repository.listed.get(name, content))
            for name, content in repository.files.items()
        ]
        said = {"id": name, "modelId": name, "sha": commit, "siblings": siblings}
        self._send(200, {"Content-Type": "application/json"}, json.dumps(said).encode())

    def _file(self, repository: Repository, commit: str, name: str) -> None:
        if status := repository.status.get(name):
            self._send(status, {}, b"")
            return
        content = repository.files[name]
        etag = hashlib.sha256(repository.listed.get(name, content)).hexdigest()
        headers = {"ETag": f'"{etag}"', "X-Repo-Commit": commit, "Accept-Ranges": "bytes"}
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(asked[1]) if asked else 0
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        most = repository.most.pop(name, None) if self.command == "GET" else None
        self._send(206 if start else 200, headers, content[start:], most)

    def _send(
        self, status: int, headers: Mapping[str, str], body: bytes, most: int | None = None
    ) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                self.wfile.write(body if most is None else body[:most])
        self.close_connection = most is not None


def _listed(name: str, content: bytes) -> dict[str, Any]:
    """Return a file as the hub lists it: large ones have a SHA-256, small ones git's digest."""
    listed: dict[str, Any] = {
        "rfilename": name,
        "size": len(content),
        "blobId": hashlib.sha1(b"blob %d\0%b" % (len(content), content)).hexdigest(),
    }
    if name.endswith(".safetensors"):
        listed["blobId"] = "0" * 40
        listed["lfs"] = {
            "sha256": hashlib.sha256(content).hexdigest(),
            "size": len(content),
            "pointerSize": 134,
        }
    return listed


@contextlib.contextmanager
def serve() -> Iterator[Hub]:
    """Serve a hub on a port of loopback."""
    server: Any = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    server.hub = Hub(f"http://127.0.0.1:{server.server_port}")
    server.handle_error = lambda *_: None
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server.hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
