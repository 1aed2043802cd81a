"""An artifact: packing it into one zip, and reading and checking such a zip."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import os
import shutil
import stat
import struct
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tf_embeddings_udf
from tf_embeddings_udf import Manifest, TfEmbeddingsError, build_of, read_manifest
from tf_embeddings_udf.artifact import problem_in
from tf_embeddings_udf.manifest import GOLDEN, UNREADABLE
from tf_embeddings_udf.verify import parse_golden, proves

from tf_embeddings_staging import cache
from tf_embeddings_staging.errors import StagingError, missing_package
from tf_embeddings_staging.model import as_json, files_in

RUNTIME = "tf_embeddings_udf"

# zipimport reads no ZIP64 before Python 3.13. https://docs.python.org/3/library/zipimport.html
_MOST_BYTES, _MOST_FILES = 2**32 - 2**20, 2**16 - 1
# What a zip has beside the bytes of a file: two headers, and its name in both.
_HEADERS = 30 + 46
# What golden.json may hold beside vectors and counts, which differs from machine to machine.
_ROOM = 8192
_EPOCH = (1980, 1, 1, 0, 0, 0)
_MODE = (stat.S_IFREG | 0o644) << 16

# A zip's last record, which has no comment here.
_END, _END_BYTES = b"PK\x05\x06", 22
# Before it in a zip of more than 65,535 files or beyond 4 GiB; and the mark of a file beyond that.
# https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT
_ZIP64_END, _ZIP64_END_BYTES = b"PK\x06\x07", 20
_ZIP64_FIELD = 1


@dataclass(frozen=True, kw_only=True)
class Artifact(Manifest):
    """A built artifact: what its manifest says, and its file.

    Attributes:
        path: its file.
        build: the digest of its manifest.
        measured_with: the versions of the packages that its golden vectors were made with.
        memory_bytes: the most that the probe's process took, its engine included; None where the
            system does not tell.
    """

    path: Path
    build: str
    measured_with: Mapping[str, str] = field(default_factory=dict)
    memory_bytes: int | None = None

    @property
    def place(self) -> Path:
        """Return its path on a stage."""
        return Path(self.model, self.version, f"{self.model}-{self.build}.zip")

    def pin(self) -> dict[str, Any]:
        """Return its pin in dbt_project.yml; `bytes` shows a broken upload."""
        return {
            "version": self.version,
            "build": self.build,
            "dimensions": self.dimensions,
            "kind": self.kind,
            "packages": list(self.packages),
            "bytes": self.path.stat().st_size,
        }


def read_artifact(path: Path) -> Artifact:
    """Return what a whole artifact says of itself."""
    manifest = read_manifest(path)
    with zipfile.ZipFile(path) as archive:
        golden = parse_golden(archive.read(GOLDEN))
    return Artifact(
        **vars(manifest),
        path=path,
        build=build_in_name(path),
        measured_with=golden.get("measured_with", {}),
        memory_bytes=golden.get("memory_bytes"),
    )


def is_whole(path: Path, build: str) -> bool:
    """Tell whether a file is the artifact of a build, to the last byte that decides what runs."""
    try:
        manifest = read_manifest(path)
        with zipfile.ZipFile(path) as archive:
            return (
                build_of(path) == build
                and _ends_with_its_directory(path)
                and problem_in(archive, manifest) is None
                and not is_zip64(archive)
                and proves(parse_golden(archive.read(GOLDEN)))
                and all(
                    _digest(archive, name, entry.bytes) == entry.sha256
                    for name, entry in manifest.files.items()
                )
            )
    except (TfEmbeddingsError, OSError, KeyError, *UNREADABLE):
        return False


def problem_of(path: Path) -> str | None:
    """Return why a file with a manifest is not an artifact; only the zip's directory is read."""
    try:
        manifest = read_manifest(path)
        with zipfile.ZipFile(path) as archive:
            if problem := problem_in(archive, manifest):
                return problem
            if is_zip64(archive):
                return (
                    "it has ZIP64 records, as a zip of more than 4 GiB or 65,535 files has, and "
                    "Python before 3.13 does not import from it"
                )
            return None if GOLDEN in archive.namelist() else f"it holds no {GOLDEN}"
    except (TfEmbeddingsError, OSError, *UNREADABLE):
        return None  # It is damaged: see `is_whole`.


def is_zip64(archive: zipfile.ZipFile) -> bool:
    """Tell whether a zip has records that zipimport reads from Python 3.13 on.

    https://docs.python.org/3/library/zipimport.html
    """
    if any(_ZIP64_FIELD in _fields(entry.extra) for entry in archive.infolist()):
        return True
    file = archive.fp
    if file is None or file.seek(0, os.SEEK_END) < _END_BYTES + _ZIP64_END_BYTES:
        return False
    file.seek(-_END_BYTES - _ZIP64_END_BYTES, os.SEEK_END)
    return file.read(len(_ZIP64_END)) == _ZIP64_END


def _fields(extra: bytes) -> set[int]:
    """Return which fields the extra data of a file in a zip's directory has."""
    found: set[int] = set()
    while len(extra) >= 4:
        field_id, size = struct.unpack("<HH", extra[:4])
        found.add(field_id)
        extra = extra[4 + size :]
    return found


def _ends_with_its_directory(path: Path) -> bool:
    """Tell whether nothing follows a zip: on a stage a file is known to be whole by its size."""
    with path.open("rb") as file:
        file.seek(-_END_BYTES, os.SEEK_END)
        return file.read(len(_END)) == _END


def _digest(archive: zipfile.ZipFile, name: str, size: int) -> str | None:
    """Return the SHA-256 of a file in a zip; None where it has another size."""
    if archive.getinfo(name).file_size != size:
        return None
    with archive.open(name) as file:
        digest = hashlib.sha256()
        while chunk := file.read(cache.CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def build_in_name(path: Path) -> str:
    """Return the build that an artifact's file name says."""
    return path.stem.rpartition("-")[2]


def runtime_folder() -> Path:
    """Return the folder of the runtime, beside the scripts' own."""
    return Path(tf_embeddings_udf.__file__ or "").parent


def python_files(folder: Path) -> dict[str, Path]:
    """Return the Python files under a folder, by their path in it."""
    return {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*.py"))}


def is_installed(package: str) -> bool:
    """Tell whether a Python package is installed."""
    try:
        importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def installed_version(package: str) -> str:
    """Return the version of an installed Python package.

    Raises:
        StagingError: it is not installed.
    """
    if not is_installed(package):
        raise missing_package(package)
    return importlib.metadata.version(package)


def add_runtime(folder: Path) -> None:
    """Copy the runtime into the folder that an artifact will unpack to."""
    for relative, path in python_files(runtime_folder()).items():
        copy = folder / RUNTIME / relative
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)


def write_golden(folder: Path, golden: Mapping[str, Any], measured: Mapping[str, Any]) -> None:
    """Write golden.json, in a size that does not depend on what was measured.

    On a stage a file is known to be whole by its size, whichever colleague put it there.

    Args:
        folder: the artifact's.
        golden: texts, vectors and token counts; their size depends only on the model.
        measured: what differs from machine to machine.
    """
    size = len(as_json(golden)) + _ROOM
    # An address of thousands of characters, or the digests of a hundred files: left out.
    drafts = (
        as_json({**golden, **measured, **dict.fromkeys(left_out)})
        for left_out in ((), ("source",), ("source", "license"))
    )
    text = next(draft for draft in drafts if len(draft) <= size)
    (folder / GOLDEN).write_bytes(text.ljust(size))


def require_size(folder: Path) -> None:
    """Require that what is in a folder fits into a zip that Python imports from.

    Raises:
        StagingError: it does not.
    """
    files = files_in(folder)
    total = sum(
        path.stat().st_size + _HEADERS + 2 * len(name.encode()) for name, path in files.items()
    )
    # manifest.json and golden.json may be missing yet.
    if total > _MOST_BYTES or len(files) > _MOST_FILES - 2:
        raise StagingError(
            f"the artifact would have {total / 2**30:.1f} GiB and {len(files):,} files; Python "
            f"imports from a zip of less than 4 GiB and 65,536 files. Choose a smaller model."
        )


def write_zip(folder: Path, target: Path) -> None:
    """Write a zip of a folder; its bytes depend only on the files' names and bytes."""
    files = files_in(folder)
    with _without_zip64(), zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.create_system = 3  # Unix, wherever this runs
            entry.external_attr = _MODE
            entry.file_size = files[name].stat().st_size
            with files[name].open("rb") as original, archive.open(entry, "w") as copy:
                shutil.copyfileobj(original, copy, cache.CHUNK)


@contextlib.contextmanager
def _without_zip64() -> Iterator[None]:
    """Have zipfile write what fits into 32 bits there: from 2 GiB on, it writes ZIP64 records.

    https://github.com/python/cpython/blob/3.11/Lib/zipfile.py (ZIP64_LIMIT)
    """
    limit = zipfile.ZIP64_LIMIT
    zipfile.ZIP64_LIMIT = 2 * limit + 1
    try:
        yield
    finally:
        zipfile.ZIP64_LIMIT = limit
