"""Real servers on loopback that give files well and badly: HTTP, HTTPS, and a forward proxy."""

from __future__ import annotations

import contextlib
import datetime
import http.client
import http.server
import ipaddress
import re
import select
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

ETAG = '"one"'


@dataclass
class Asked:
    """A request: its path with its query, and its headers."""

    path: str
    headers: Mapping[str, str]


@dataclass
class Server:
    """A server that runs.

    Attributes:
        answers: by path, how each request is answered in turn; the last answer is repeated.
        asked: the requests so far.
    """

    address: str
    answers: dict[str, list[Answer]] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)

    def at(self, path: str, *answers: Answer) -> str:
        """Answer requests for a path like this; return its address."""
        self.answers[path] = list(answers)
        return self.address + path

    def ranges(self) -> list[str | None]:
        """Return the ranges that were asked for, request by request."""
        return [asked.headers.get("Range") for asked in self.asked]


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Any

    def do_GET(self) -> None:
        serving: Server = self.server.serving
        serving.asked.append(Asked(self.path, dict(self.headers)))
        answers = serving.answers.get(urlsplit(self.path).path)
        if not answers:
            self.send_error(404)
            return
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        answer(self)

    def log_message(self, format: str, *args: object) -> None:
        """Silence."""

    def begin(self, status: int, headers: Mapping[str, object]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, str(value))
        self.end_headers()


Answer = Callable[[_Handler], None]


def gives(content: bytes, *, etag: str | None = ETAG, most: int | None = None) -> Answer:
    """Give a file, or the range that was asked for if it is still that file; RFC 9110, 14.

    `most` bytes are sent, then the connection is closed.
    """

    def answer(handler: _Handler) -> None:
        start = 0
        asked = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range", ""))
        if asked and etag and handler.headers.get("If-Range", etag) == etag:
            start = int(asked[1])
        headers: dict[str, object] = {"Content-Length": len(content) - start}
        headers |= {"ETag": etag} if etag else {}
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        handler.begin(206 if start else 200, headers)
        _send(handler, content[start:], most)

    return answer


def ignores_ranges(content: bytes, *, most: int | None = None, etag: str = ETAG) -> Answer:
    """Give the whole file, whatever was asked."""

    def answer(handler: _Handler) -> None:
        handler.begin(200, {"Content-Length": len(content), "ETag": etag})
        _send(handler, content, most)

    return answer


def goes_on_with(content: bytes, *, etag: str, start: int | None = None) -> Answer:
    """Give the range that was asked for, though it may be another file by now; or start there."""

    def answer(handler: _Handler) -> None:
        asked = re.fullmatch(r"bytes=(\d+)-", handler.headers["Range"])
        assert asked
        first = int(asked[1]) if start is None else start
        said = f"bytes {first}-{len(content) - 1}/{len(content)}"
        headers = {"Content-Length": len(content) - first, "ETag": etag, "Content-Range": said}
        handler.begin(206, headers)
        _send(handler, content[first:], None)

    return answer


def gives_at_most(content: bytes, most: int) -> Answer:
    """Give ranges of this many bytes at most, as a server may; RFC 9110, 15.3.7."""

    def answer(handler: _Handler) -> None:
        asked = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range", ""))
        if not asked:
            gives(content, most=most)(handler)
            return
        start = int(asked[1])
        piece = content[start : start + most]
        said = f"bytes {start}-{start + len(piece) - 1}/{len(content)}"
        handler.begin(206, {"Content-Length": len(piece), "ETag": ETAG, "Content-Range": said})
        _send(handler, piece, None)

    return answer


def gives_pieces(*pieces: bytes, ends: bool = True) -> Answer:
    """Give a file of unknown length, in chunks; RFC 9112, 7.1."""

    def answer(handler: _Handler) -> None:
        handler.protocol_version = "HTTP/1.1"
        handler.close_connection = True
        handler.begin(200, {"Transfer-Encoding": "chunked"})
        for piece in pieces:
            handler.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        if ends:
            handler.wfile.write(b"0\r\n\r\n")

    return answer


def says(status: int, body: bytes = b"", **headers: object) -> Answer:
    """Answer with a status; `Retry_After=7` is a header."""

    def answer(handler: _Handler) -> None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        handler.begin(status, {"Content-Length": len(body), **named})
        handler.wfile.write(body)

    return answer


def redirects(location: str, status: int = 302) -> Answer:
    """Lead to another address."""
    return says(status, Location=location)


def speaks_tf_hub(archive: str) -> Answer:
    """Answer as TF-Hub does for a model; https://www.tensorflow.org/hub/hosting."""

    def answer(handler: _Handler) -> None:
        asked = parse_qs(urlsplit(handler.path).query).get("tf-hub-format")
        if asked == ["compressed"]:
            redirects(archive)(handler)
        elif asked == ["uncompressed"]:
            says(303, b"gs://tfhub-modules/model/uncompressed")(handler)
        else:
            says(200, b"<!doctype html><title>A model</title>")(handler)

    return answer


def is_silent_until(done: threading.Event) -> Answer:
    """Take the request, and say nothing."""

    def answer(_: _Handler) -> None:
        done.wait(60)

    return answer


def _send(handler: _Handler, content: bytes, most: int | None) -> None:
    # A client that was told of too much hangs up.
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        handler.wfile.write(content if most is None else content[:most])
    handler.close_connection = True


@contextlib.contextmanager
def serve(*, certificate: Path | None = None, host: str = "127.0.0.1") -> Iterator[Server]:
    """Serve on a port of loopback; over TLS if a certificate is given."""
    server: Any = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    server.serving = Server(f"http{'s' if certificate else ''}://{host}:{server.server_port}")
    server.handle_error = lambda *_: None
    with _running(server):
        yield server.serving


@contextlib.contextmanager
def _running(server: http.server.ThreadingHTTPServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def write_certificate(path: Path) -> Path:
    """Write a certificate of 127.0.0.1, signed by itself, and its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "loopback")])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(certificate.public_bytes(pem) + private)
    return path


class _Proxy(http.server.BaseHTTPRequestHandler):
    """A forward proxy, RFC 9110, 7.3.2, to which every host is the one server behind it."""

    server: Any

    def do_GET(self) -> None:
        self._note()
        upstream = http.client.HTTPConnection(urlsplit(self.server.upstream).netloc)
        parts = urlsplit(self.path)
        path = f"{parts.path}?{parts.query}" if parts.query else parts.path
        headers = {
            name: self.headers[name] for name in ("Range", "If-Range") if name in self.headers
        }
        upstream.request("GET", path, headers=headers)
        with upstream.getresponse() as response:
            self.send_response(response.status)
            for name, value in response.getheaders():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(response.read())
        upstream.close()

    def do_CONNECT(self) -> None:
        self._note()
        target = urlsplit(self.server.upstream)
        with socket.create_connection((target.hostname or "", target.port or 0)) as upstream:
            self.send_response(200)
            self.end_headers()
            ends = {self.connection: upstream, upstream: self.connection}
            while ready := select.select(list(ends), [], [], 60)[0]:
                data = ready[0].recv(1 << 16)
                if not data:
                    break
                ends[ready[0]].sendall(data)
        self.close_connection = True

    def _note(self) -> None:
        self.server.serving.asked.append(Asked(self.path, dict(self.headers)))

    def log_message(self, format: str, *args: object) -> None:
        """Silence."""


@contextlib.contextmanager
def proxy(upstream: str) -> Iterator[Server]:
    """Run a forward proxy; `asked` says what went through it."""
    server: Any = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Proxy)
    server.upstream = upstream
    server.serving = Server(f"http://127.0.0.1:{server.server_port}")
    server.handle_error = lambda *_: None
    with _running(server):
        yield server.serving
