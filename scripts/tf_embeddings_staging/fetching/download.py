"""Downloads one file over HTTP: resumes, retries, keeps limits, and gives no secrets away."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from tf_embeddings_staging import cache
from tf_embeddings_staging.errors import SourceError
from tf_embeddings_staging.progress import Bar, Report
from tf_embeddings_staging.redaction import address, without_secrets

if TYPE_CHECKING:
    from requests import PreparedRequest, Response, Session
    from urllib3 import Retry

_CHUNK = 1 << 16
_MOST_REDIRECTS = 10
_MOST_TRIES = 100
_LONGEST_WAIT_SECONDS = 120
_REDIRECTS = (301, 302, 303, 307, 308)
_PASSING = (408, 425, 429, 500, 502, 503, 504)
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")
_LOOPBACK = re.compile(r"localhost|127(\.\d+){3}|::1")


@dataclass(frozen=True)
class Patience:
    """How often a download is tried again, and how long is waited for what.

    Attributes:
        tries: how often what may pass is tried again: a busy server, a connection that breaks off.
            The count starts again with each byte that no earlier try had reached.
        timeout: the seconds for a connection, and between two pieces.
        pause: waits for so many seconds.
    """

    tries: int = 4
    timeout: tuple[float, float] = (10, 60)
    pause: Callable[[float], None] = time.sleep

    def retries(self) -> Retry:
        """Return urllib3's policy; an unknown name, or a closed port, is tried only once more."""
        from urllib3 import Retry

        most = self.tries
        return Retry(None, connect=1, read=most, status=most, other=min(most, 1), backoff_factor=1)


@dataclass(frozen=True)
class Wanted:
    """A file to download.

    Attributes:
        url: its address; http or https.
        label: what the user reads meanwhile.
        most_bytes: how large it may be.
        authorization: the header of this name, only for the address's own host.
    """

    url: str
    label: str
    most_bytes: int
    authorization: str | None = None


class DownloadError(SourceError):
    """A file could not be downloaded; `status` is what the server answered, if it did."""

    def __init__(self, message: str, status: int | None = None) -> None:
        """Tell why."""
        super().__init__(message)
        self.status = status


class _BrokenError(Exception):
    """Something that may work at the next try: the server's answer, or urllib3's error."""

    def __init__(
        self,
        message: str,
        error: Exception | None = None,
        response: Response | None = None,
    ) -> None:
        super().__init__(message)
        self.error = error
        self.response = response


def download(
    wanted: Wanted, target: Path, folder: Path, report: Report, patience: Patience
) -> None:
    """Download a file to `target`, from where a broken download before left off.

    What has come is kept in the cache `folder` where the download breaks off and the server says
    which file it was part of (a strong ETag).

    Raises:
        DownloadError: it could not be downloaded whole, or is too large.
    """
    import requests

    with (
        _claimed(wanted.url, folder, target.with_name(f"{target.name}.part")) as private,
        report.bar(wanted.label) as bar,
        requests.Session() as session,
    ):
        # Redirects are followed here, by `_get`; requests would read their bodies, however large.
        session.get_redirect_target = lambda resp: None
        part = _Part(private, bar)
        _try_often(session, wanted, part, report, patience)
        os.replace(part.file, target)


def is_loopback(url: str) -> bool:
    """Tell whether an address is this machine's own, which no network lies before."""
    return bool(_LOOPBACK.fullmatch(urlsplit(url).hostname or ""))


def is_plain(url: str) -> bool:
    """Tell whether an address is one of http, where anyone on the way can read and change."""
    return urlsplit(url).scheme.lower() != "https"


class _Part:
    """What of a file has come so far."""

    def __init__(self, folder: Path, bar: Bar) -> None:
        self.file = folder / "content"
        self._validator = folder / "validator.json"
        self._bar = bar
        bar.advance(self.size)

    @property
    def size(self) -> int:
        return self.file.stat().st_size if self.file.is_file() else 0

    @property
    def validator(self) -> str | None:
        """Return the ETag of the file that this is part of, if it is one to rely on."""
        try:
            return json.loads(self._validator.read_bytes())
        except (FileNotFoundError, ValueError):
            return None

    def start(self, etag: str | None) -> None:
        """Forget what has come, and begin a file with this ETag."""
        self._bar.advance(-self.size)
        self.file.write_bytes(b"")
        is_strong = etag and etag.startswith('"')  # RFC 9110, 13.1.5
        self._validator.write_text(json.dumps(etag if is_strong else None))

    def append(self, pieces: Iterator[bytes], most: int) -> None:
        size = self.size
        with self.file.open("ab") as file:
            for piece in pieces:
                size += len(piece)
                if size > most:
                    raise _too_large(f"{size:,} or more", most)
                file.write(piece)
                self._bar.advance(len(piece))

    def expect(self, total: int) -> None:
        self._bar.expect(total)


@contextmanager
def _claimed(url: str, folder: Path, private: Path) -> Iterator[Path]:
    """Give a private folder with what an earlier run left of a file, and leave it again at the end.

    A rename moves it: of two runs at once, one goes on with it and the other starts at the front.
    """
    left = folder / "partial" / hashlib.sha256(url.encode()).hexdigest()[:32]
    left.parent.mkdir(parents=True, exist_ok=True)
    cache.sweep(left.parent.iterdir())
    try:
        os.replace(left, private)
    except OSError:
        private.mkdir()
    try:
        yield private
    finally:
        part = _Part(private, Bar())
        if part.size and part.validator:
            with suppress(OSError):
                os.replace(private, left)
                os.utime(left)
        shutil.rmtree(private, ignore_errors=True)


def _try_often(
    session: Session, wanted: Wanted, part: _Part, report: Report, patience: Patience
) -> None:
    from urllib3.exceptions import HTTPError, MaxRetryError

    reached, retries = part.size, patience.retries()
    for _ in range(_MOST_TRIES):
        try:
            _try(session, wanted, part, patience.timeout)
            return
        except _BrokenError as broken:
            if part.size > reached:
                reached, retries = part.size, patience.retries()
            response = broken.response
            status = None if response is None else response.status_code
            raw = None if response is None else response.raw
            try:
                retries = retries.increment("GET", response=raw, error=broken.error)
            except (MaxRetryError, type(broken.error or broken)):
                raise DownloadError(str(broken), status) from None
            asked = 0.0
            with suppress(HTTPError):  # a Retry-After that cannot be read
                asked = (raw and retries.get_retry_after(raw)) or 0.0
            if asked > _LONGEST_WAIT_SECONDS:
                raise DownloadError(
                    f"{broken}, and to come back in {asked:.0f} seconds", status
                ) from None
            wait = max(retries.get_backoff_time(), asked)
            report.say(
                f"{wanted.label}: {broken}. Trying again{f' in {wait:g} s' if wait else ''}."
            )
            patience.pause(wait)
    raise DownloadError(f"the connection broke off {_MOST_TRIES} times")


def _try(session: Session, wanted: Wanted, part: _Part, timeout: tuple[float, float]) -> None:
    """Ask once for what is missing of a file."""
    # As the bytes are: a length and a range mean those of the file, not of a packed form of it.
    headers = {"Accept-Encoding": "identity"}
    if part.size and part.validator:
        headers |= {"Range": f"bytes={part.size}-", "If-Range": part.validator}
    with _errors_in_short():
        response = _get(session, wanted, headers, timeout)
        with response:
            _require_success(response, "Range" in headers)
            end = _begin(response, part, wanted.most_bytes)
            # Not `iter_content`: it undoes a Content-Encoding.
            part.append(response.raw.stream(_CHUNK, decode_content=False), wanted.most_bytes)
    if end is not None and part.size != end:
        raise _broken(f"it ended after {part.size:,} of {end:,} bytes")


def _get(
    session: Session, wanted: Wanted, headers: dict[str, str], timeout: tuple[float, float]
) -> Response:
    """Ask for an address, and for those that it leads to."""
    url = wanted.url
    for _ in range(_MOST_REDIRECTS + 1):
        is_own = _origin(url) == _origin(wanted.url)
        response = session.get(
            url,
            headers=headers,
            auth=_signed(wanted.authorization) if is_own and wanted.authorization else None,
            allow_redirects=False,
            stream=True,
            timeout=timeout,
        )
        if response.status_code not in _REDIRECTS:
            return response
        with response:
            url = _next(url, response)
    raise DownloadError(f"the server redirects more than {_MOST_REDIRECTS} times")


def _signed(authorization: str) -> Callable[[PreparedRequest], PreparedRequest]:
    def sign(request: PreparedRequest) -> PreparedRequest:
        request.headers["Authorization"] = authorization
        return request

    return sign


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    return parts.scheme, parts.hostname, port


def _next(url: str, response: Response) -> str:
    """Return where a redirect leads."""
    location = response.headers.get("Location") or ""
    if not location:  # TF-Hub's uncompressed format: the body says where
        location = response.raw.read(1000, decode_content=True).decode(errors="replace").strip()
    if location.startswith("gs://"):
        raise DownloadError(
            f"the server gives no archive, but the folder '{location[:200]}' of Google's storage. "
            f"Copy that folder to this machine, and give it as SOURCE"
        )
    target = urljoin(url, location)
    shown, scheme = address(target), urlsplit(target).scheme
    if not location or scheme not in ("http", "https"):
        raise DownloadError(f"the server redirects to '{shown}', which is not http or https")
    if scheme == "http" and not is_plain(url):
        raise DownloadError(
            f"the server redirects from https to plain http ('{shown}'), where anyone on the way "
            f"can change what comes"
        )
    return target


def _require_success(response: Response, asked_for_range: bool) -> None:
    status = response.status_code
    if status == HTTPStatus.OK or (status == HTTPStatus.PARTIAL_CONTENT and asked_for_range):
        return
    if status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and asked_for_range:
        return
    said = f"the server says '{status} {response.reason or ''}".rstrip() + "'"
    if status in _PASSING:
        raise _BrokenError(said, response=response)
    raise DownloadError(said, status)


def _begin(response: Response, part: _Part, most: int) -> int | None:
    """Decide whether the response goes on with what has come, or starts at the front.

    Returns:
        How many bytes the file has; None if the server does not say.
    """
    etag = response.headers.get("ETag")
    if response.status_code == HTTPStatus.OK:
        part.start(etag)
        length = response.headers.get("Content-Length", "")
        end = int(length) if length.isdecimal() else None
    else:
        said = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
        if not said or int(said[1]) != part.size or etag not in (None, part.validator):
            part.start(None)
            raise _broken("the server cannot go on with the file that it began")
        end = int(said[2]) + 1 if said[3] == "*" else int(said[3])
    if end is not None:
        if end > most:
            raise _too_large(f"{end:,}", most)
        part.expect(end)
    return end


def _too_large(size: str, most: int) -> DownloadError:
    return DownloadError(
        f"it has {size} bytes, and the limit is {most:,}. Raise the limit with --size-limit GIB"
    )


@contextmanager
def _errors_in_short() -> Iterator[None]:
    """Turn what requests and urllib3 raise into ours: what may be over soon, and what not."""
    import requests
    import urllib3

    try:
        yield
    except (
        requests.exceptions.SSLError,
        requests.exceptions.InvalidURL,
        requests.exceptions.InvalidSchema,
        requests.exceptions.InvalidHeader,
    ) as error:
        raise DownloadError(_in_short(error)) from None
    except ValueError:
        raise DownloadError("the address cannot be read, or one that it redirects to") from None
    except urllib3.exceptions.ProtocolError as error:  # of the body: requests wraps the others
        raise _BrokenError("the connection broke off", error) from None
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        raise _BrokenError(_in_short(error), _of_urllib3(error)) from None


def _broken(message: str) -> _BrokenError:
    from urllib3.exceptions import ProtocolError

    return _BrokenError(message, ProtocolError(message))


def _of_urllib3(error: Exception) -> Exception:
    """Return the error of urllib3 that requests wraps: `Retry` knows these."""
    inner = _first(error)
    while isinstance(reason := getattr(inner, "reason", None), Exception):
        inner = reason
    return inner if isinstance(inner, Exception) else error


def _in_short(error: Exception) -> str:
    """Return the heart of an error of requests, which nests those of urllib3 and the system."""
    inner: BaseException = error
    while isinstance(cause := getattr(inner, "reason", None) or _first(inner), BaseException):
        inner = cause
    text = str(inner) or str(error)
    text = re.sub(r"^.*?<[^>]*>[:,]? *", "", text) or text
    said = re.sub(r"\s+", " ", text).strip(" '.")
    said = said.removesuffix(")") if said.count(")") > said.count("(") else said
    said = said.removeprefix("(") if said.count("(") > said.count(")") else said
    return without_secrets(said.strip(" '."))[:300]


def _first(error: Any) -> object:  # noqa: ANN401 - any exception
    return next((part for part in error.args if isinstance(part, BaseException)), None)
