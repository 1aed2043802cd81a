"""Downloading a file from real servers on loopback, which give it well and badly."""

from __future__ import annotations

import datetime
import email.utils
import io
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import loopback
import pytest
from loopback import (
    Server,
    gives,
    gives_at_most,
    gives_pieces,
    goes_on_with,
    ignores_ranges,
    redirects,
    says,
)
from rich.console import Console
from tf_embeddings_staging import progress
from tf_embeddings_staging.fetching.download import DownloadError, Patience, Wanted, download
from tf_embeddings_staging.progress import Report

CHUNK = 1 << 16
FILE = bytes(range(256)) * 1024  # 4 chunks
CHANGED = FILE[::-1] + b"and more"
BROKEN = "the connection broke off"


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy of the machine's between a test and its own server."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")


@pytest.fixture
def server() -> Iterator[Server]:
    with loopback.serve() as server:
        yield server


def fetch(
    url: str,
    folder: Path,
    *,
    tries: int = 3,
    most_bytes: int = 2**30,
    authorization: str | None = None,
    paused: list[float] | None = None,
    report: Report | None = None,
) -> bytes:
    """Download a file with the cache `folder`; return what came. Nothing is waited for."""
    work = folder / "own"
    work.mkdir(exist_ok=True)
    patience = Patience(tries, timeout=(5, 5), pause=([] if paused is None else paused).append)
    wanted = Wanted(url, "Fetching the file", most_bytes, authorization)
    try:
        download(wanted, work / "file", folder, report or Report(), patience)
        return (work / "file").read_bytes()
    finally:
        (work / "file").unlink(missing_ok=True)
        assert list(work.iterdir()) == []


def refused(url: str, folder: Path, **given: object) -> DownloadError:
    with pytest.raises(DownloadError) as error:
        fetch(url, folder, **given)  # pyright: ignore[reportArgumentType]
    return error.value


def test_a_file_comes_whole(server: Server, tmp_path: Path) -> None:
    assert fetch(server.at("/file", gives(FILE)), tmp_path) == FILE
    assert server.asked[0].headers["Accept-Encoding"] == "identity"
    assert server.ranges() == [None]


def test_an_empty_file_comes_too(server: Server, tmp_path: Path) -> None:
    assert fetch(server.at("/file", gives(b"")), tmp_path) == b""


def test_a_file_of_unknown_length_comes_whole(server: Server, tmp_path: Path) -> None:
    assert fetch(server.at("/file", gives_pieces(FILE[:1000], FILE[1000:])), tmp_path) == FILE


def test_what_is_packed_on_the_way_stays_packed(server: Server, tmp_path: Path) -> None:
    """Servers say Content-Encoding: gzip of a .tar.gz, and a digest is of the file as it is."""
    url = server.at("/file", says(200, FILE, Content_Encoding="gzip"))
    assert fetch(url, tmp_path) == FILE


def test_progress_is_shown(server: Server, tmp_path: Path) -> None:
    said = io.StringIO()
    report = Report(Console(file=said, force_terminal=True, width=120))
    fetch(server.at("/file", gives(FILE)), tmp_path, report=report)
    assert "262.1/262.1 kB" in said.getvalue()
    assert "Fetching the file: done" in said.getvalue()


@pytest.mark.parametrize(
    ("seconds", "says"), [(1.9, "Converting: done\n"), (12.4, "Converting: done in 12 s\n")]
)
def test_a_step_says_how_long_it_took(
    monkeypatch: pytest.MonkeyPatch, seconds: float, says: str
) -> None:
    began = time.monotonic()
    clock = SimpleNamespace(monotonic=iter([began, began + seconds]).__next__)
    monkeypatch.setattr(progress, "time", clock)
    said = io.StringIO()
    with Report(Console(file=said, force_terminal=True, width=120)).step("Converting"):
        pass
    assert "0:00:0" in said.getvalue()
    assert said.getvalue().endswith(says)


def test_no_terminal_gets_only_the_names_of_steps(capsys: pytest.CaptureFixture[str]) -> None:
    report = Report()
    with report.step("Converting"), report.bar("Fetching"):
        pass
    assert capsys.readouterr().err == "Converting ...\nFetching ...\n"


# Breaking off and going on.


def test_what_broke_off_is_resumed(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paused: list[float] = []
    url = server.at("/file", gives(FILE, most=3 * CHUNK), gives(FILE))
    assert fetch(url, tmp_path, tries=2, paused=paused) == FILE
    assert server.ranges() == [None, f"bytes={3 * CHUNK}-"]
    assert server.asked[1].headers["If-Range"] == loopback.ETAG
    assert paused == [0]
    assert f"Fetching the file: {BROKEN}. Trying again." in capsys.readouterr().err


def test_a_server_that_gives_small_ranges_is_asked_for_the_next(
    server: Server, tmp_path: Path
) -> None:
    url = server.at("/file", gives_at_most(FILE, CHUNK))
    assert fetch(url, tmp_path, tries=1) == FILE
    assert server.ranges() == [None, *(f"bytes={count * CHUNK}-" for count in (1, 2, 3))]


def test_a_file_of_unknown_length_that_breaks_off_is_begun_anew(
    server: Server, tmp_path: Path
) -> None:
    url = server.at("/file", gives_pieces(FILE[:CHUNK], ends=False), gives_pieces(FILE))
    assert fetch(url, tmp_path) == FILE


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (gives(FILE, most=2 * CHUNK), ignores_ranges(FILE), FILE),
        (gives(FILE, most=2 * CHUNK), gives(CHANGED, etag='"two"'), CHANGED),
        (gives(FILE, most=2 * CHUNK), goes_on_with(CHANGED, etag='"two"'), CHANGED),
        (gives(FILE, most=2 * CHUNK), goes_on_with(FILE, etag=loopback.ETAG, start=7), FILE),
        (gives(FILE, most=2 * CHUNK), says(416, Content_Range="bytes */9"), FILE),
        (gives(FILE, most=2 * CHUNK, etag='W/"one"'), gives(FILE, etag='W/"one"'), FILE),
        (gives(FILE, most=2 * CHUNK, etag=None), gives(FILE, etag=None), FILE),
    ],
    ids=[
        "the server ignores ranges",
        "the file changed, and the server sees it",
        "the file changed, and the server goes on regardless",
        "the server goes on somewhere else",
        "the server has no such range",
        "a weak ETag",
        "no ETag",
    ],
)
def test_what_cannot_be_resumed_is_begun_anew(
    server: Server,
    tmp_path: Path,
    first: loopback.Answer,
    second: loopback.Answer,
    expected: bytes,
) -> None:
    last = gives(expected, etag='"last"')
    assert fetch(server.at("/file", first, second, last), tmp_path) == expected
    assert len(server.asked) <= 3


def test_the_next_run_resumes(server: Server, tmp_path: Path) -> None:
    url = server.at("/file", gives(FILE, most=3 * CHUNK), gives(FILE))
    assert str(refused(url, tmp_path, tries=0)) == BROKEN
    assert fetch(url, tmp_path) == FILE
    assert server.ranges() == [None, f"bytes={3 * CHUNK}-"]
    assert list((tmp_path / "partial").iterdir()) == []


def test_the_next_run_begins_anew_where_nothing_says_what_has_come(
    server: Server, tmp_path: Path
) -> None:
    url = server.at("/file", gives(FILE, most=3 * CHUNK, etag=None), gives(FILE))
    refused(url, tmp_path, tries=0)
    assert list((tmp_path / "partial").iterdir()) == []
    assert fetch(url, tmp_path) == FILE
    assert server.ranges() == [None, None]


def test_an_interrupted_run_leaves_what_has_come(server: Server, tmp_path: Path) -> None:
    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    url = server.at("/file", gives(FILE, most=CHUNK), gives(FILE))
    wanted = Wanted(url, "Fetching the file", 2**30)
    with pytest.raises(KeyboardInterrupt):
        download(wanted, tmp_path / "file", tmp_path, Report(), Patience(pause=interrupt))
    assert fetch(url, tmp_path) == FILE
    assert server.ranges() == [None, f"bytes={CHUNK}-"]


def test_each_byte_that_is_new_gives_new_tries(server: Server, tmp_path: Path) -> None:
    paused: list[float] = []
    url = server.at("/file", gives(FILE, most=CHUNK))
    assert fetch(url, tmp_path, tries=2, paused=paused) == FILE
    assert paused == [0, 0, 0]


def test_a_server_that_gives_a_byte_each_time_is_given_up(server: Server, tmp_path: Path) -> None:
    url = server.at("/file", gives_at_most(FILE[:200], 1))
    error = refused(url, tmp_path, tries=1)
    assert str(error) == "the connection broke off 100 times"
    assert len(server.asked) == 100


def test_a_server_that_always_breaks_off_is_given_up(server: Server, tmp_path: Path) -> None:
    paused: list[float] = []
    url = server.at("/file", ignores_ranges(FILE, most=CHUNK))
    error = refused(url, tmp_path, paused=paused)
    assert str(error) == BROKEN
    assert paused == [0, 2, 4]


def test_a_server_that_says_nothing_is_given_up(server: Server, tmp_path: Path) -> None:
    done = threading.Event()
    url = server.at("/file", loopback.is_silent_until(done))
    patience = Patience(0, timeout=(5, 0.2))
    try:
        with pytest.raises(DownloadError, match=r"Read timed out"):
            download(Wanted(url, "Fetching", 9), tmp_path / "file", tmp_path, Report(), patience)
    finally:
        done.set()


def test_nobody_at_the_address_is_one_sentence(tmp_path: Path) -> None:
    paused: list[float] = []
    error = refused("http://127.0.0.1:9/file", tmp_path, paused=paused)
    assert str(error).endswith("Connection refused")
    assert str(error).count("(") == str(error).count(")")
    assert paused == [0]


def test_a_name_that_nobody_knows_is_tried_twice(tmp_path: Path) -> None:
    paused: list[float] = []
    error = refused("http://nobody.invalid/file", tmp_path, paused=paused)
    assert "nobody.invalid" in str(error)
    assert str(error).count("(") == str(error).count(")")
    assert paused == [0]


# What the server says.


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_what_may_pass_is_tried_again(server: Server, tmp_path: Path, status: int) -> None:
    paused: list[float] = []
    url = server.at("/file", says(status, Retry_After=7), gives(FILE))
    assert fetch(url, tmp_path, paused=paused) == FILE
    assert paused == [7]


def test_a_time_to_come_back_that_cannot_be_read_is_as_good_as_none(
    server: Server, tmp_path: Path
) -> None:
    url = server.at("/file", says(503, Retry_After="soon"), gives(FILE))
    assert fetch(url, tmp_path) == FILE


def test_a_date_to_come_back_at_is_met(server: Server, tmp_path: Path) -> None:
    paused: list[float] = []
    later = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=90)
    date = email.utils.format_datetime(later, usegmt=True)
    url = server.at("/file", says(503, Retry_After=date), gives(FILE))
    assert fetch(url, tmp_path, paused=paused) == FILE
    assert 1 < paused[0] <= 90


def test_a_server_that_wants_hours_is_given_up(server: Server, tmp_path: Path) -> None:
    error = refused(server.at("/file", says(429, Retry_After=7200)), tmp_path)
    assert str(error) == (
        "the server says '429 Too Many Requests', and to come back in 7200 seconds"
    )


@pytest.mark.parametrize("status", [204, 400, 401, 403, 404, 410, 501])
def test_what_does_not_pass_is_not_tried_again(server: Server, tmp_path: Path, status: int) -> None:
    error = refused(server.at("/file", says(status)), tmp_path)
    assert str(error).startswith(f"the server says '{status} ")
    assert error.status == status
    assert len(server.asked) == 1


def test_a_file_beyond_the_limit_is_not_begun(server: Server, tmp_path: Path) -> None:
    error = refused(server.at("/file", gives(FILE)), tmp_path, most_bytes=262_143)
    assert str(error) == (
        "it has 262,144 bytes, and the limit is 262,143. Raise the limit with --size-limit GIB"
    )
    assert list((tmp_path / "partial").iterdir()) == []


def test_a_file_that_grows_beyond_the_limit_is_stopped(server: Server, tmp_path: Path) -> None:
    url = server.at("/file", gives_pieces(*[FILE] * 8))
    assert re.fullmatch(
        r"it has 5\d\d,\d{3} or more bytes, and the limit is 500,000\. Raise .*",
        str(refused(url, tmp_path, most_bytes=500_000)),
    )


# Redirects, and what is told to whom.


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_followed(server: Server, tmp_path: Path, status: int) -> None:
    server.at("/there/file", gives(FILE))
    server.at("/second", redirects("there/file", status))
    assert fetch(server.at("/first", redirects("/second?a=b", status)), tmp_path) == FILE


def test_a_redirected_file_is_resumed(server: Server, tmp_path: Path) -> None:
    server.at("/there", gives(FILE, most=CHUNK), gives(FILE))
    assert fetch(server.at("/here", redirects("/there")), tmp_path) == FILE
    assert server.ranges()[-1] == f"bytes={CHUNK}-"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (redirects("/file"), "the server redirects more than 10 times"),
        (
            redirects("ftp://models.example/a?token=secret"),
            "the server redirects to 'ftp://models.example/a?...', which is not http or https",
        ),
        (redirects("file:///etc/passwd"), "the server redirects to 'file:///etc/passwd', which is"),
        (redirects("http://[::1"), "the address cannot be read, or one that it redirects to"),
        (
            redirects("gs://bucket/module"),
            "the server gives no archive, but the folder 'gs://bucket/module' of Google's storage. "
            "Copy that folder to this machine, and give it as SOURCE",
        ),
        (
            says(303, b"gs://bucket/module"),
            "the server gives no archive, but the folder 'gs://bucket/module' of Google's storage.",
        ),
    ],
    ids=["forever", "ftp", "a file", "nonsense", "Google's storage", "TF-Hub uncompressed"],
)
def test_a_redirect_that_leads_nowhere_is_one_sentence(
    server: Server, tmp_path: Path, answer: loopback.Answer, said: str
) -> None:
    assert str(refused(server.at("/file", answer), tmp_path)).startswith(said)


def test_credentials_are_for_their_own_host_alone(server: Server, tmp_path: Path) -> None:
    with loopback.serve(host="localhost") as other:
        other.at("/there", redirects(f"{server.address}/end"))
        server.at("/end", gives(FILE))
        url = server.at("/file", redirects(f"{other.address}/there"))
        assert fetch(url, tmp_path, authorization="Basic dXNlcjprZXk=") == FILE
    assert server.asked[0].headers["Authorization"] == "Basic dXNlcjprZXk="
    assert "Authorization" not in other.asked[0].headers


def test_credentials_in_the_address_are_for_their_own_host_alone(
    server: Server, tmp_path: Path
) -> None:
    with loopback.serve(host="localhost") as other:
        other.at("/there", gives(FILE))
        url = server.at("/file", redirects(f"{other.address}/there"))
        assert fetch(url.replace("://", "://user:key@"), tmp_path) == FILE
    assert server.asked[0].headers["Authorization"] == "Basic dXNlcjprZXk="
    assert "Authorization" not in other.asked[0].headers


def test_no_secret_is_in_a_message(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    secret = "http://user:secret@127.0.0.1:9/file?token=secret"
    url = server.at("/file", redirects(secret))
    error = refused(url, tmp_path)
    assert "Connection refused" in str(error)
    assert "secret" not in str(error) + capsys.readouterr().err


# TLS and proxies.


@pytest.fixture
def certificate(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = loopback.write_certificate(tmp_path_factory.mktemp("tls") / "loopback.pem")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(path))
    return path


def test_https_comes_if_its_certificate_is_known(certificate: Path, tmp_path: Path) -> None:
    with loopback.serve(certificate=certificate) as server:
        assert fetch(server.at("/file", gives(FILE)), tmp_path) == FILE


def test_https_without_a_known_certificate_is_not_tried_again(
    certificate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    paused: list[float] = []
    with loopback.serve(certificate=certificate) as server:
        error = refused(server.at("/file", gives(FILE)), tmp_path, paused=paused)
    assert "CERTIFICATE_VERIFY_FAILED" in str(error)
    assert paused == []


def test_a_redirect_from_https_to_http_is_refused(
    certificate: Path, server: Server, tmp_path: Path
) -> None:
    plain = server.at("/file", gives(FILE))
    with loopback.serve(certificate=certificate) as secure:
        error = refused(secure.at("/file", redirects(plain)), tmp_path)
    assert str(error) == (
        f"the server redirects from https to plain http ('{plain}'), where anyone on the way can "
        f"change what comes"
    )
    assert server.asked == []


def test_a_proxy_of_the_environment_is_used(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.at("/file", gives(FILE, most=CHUNK), gives(FILE))
    with loopback.proxy(server.address) as proxy:
        monkeypatch.setenv("http_proxy", proxy.address.replace("://", "://user:secret@"))
        assert fetch("http://models.test/file", tmp_path) == FILE
        assert [asked.path for asked in proxy.asked] == ["http://models.test/file"] * 2
        assert proxy.asked[0].headers["Proxy-Authorization"] == "Basic dXNlcjpzZWNyZXQ="
        assert fetch(f"{server.address}/file", tmp_path) == FILE
        assert len(proxy.asked) == 2


def test_https_goes_through_a_proxy(
    certificate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        loopback.serve(certificate=certificate) as server,
        loopback.proxy(server.address) as proxy,
    ):
        monkeypatch.delenv("NO_PROXY")
        monkeypatch.setenv("https_proxy", proxy.address)
        assert fetch(server.at("/file", gives(FILE)), tmp_path) == FILE
        assert [asked.path for asked in proxy.asked] == [server.address.removeprefix("https://")]


def test_a_proxy_that_is_not_there_is_one_sentence_without_its_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://user:secret@127.0.0.1:9")
    error = refused("http://models.test/file", tmp_path)
    assert "Connection refused" in str(error)
    assert "secret" not in str(error)
