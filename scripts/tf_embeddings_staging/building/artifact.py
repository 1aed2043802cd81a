"""An artifact that is built: its file, and what its pin says."""

from __future__ import annotations

import hashlib
import os
import struct
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tf_embeddings_udf import TfEmbeddingsError, build_of, read_manifest
from tf_embeddings_udf.artifact import problem_in
from tf_embeddings_udf.manifest import GOLDEN, UNREADABLE
from tf_embeddings_udf.verify import parse_golden, proves

from tf_embeddings_staging import cache

# A zip's last record, which has no comment here.
_END, _END_BYTES = b"PK\x05\x06", 22
# Before it in a zip of more than 65,535 files or beyond 4 GiB; and the mark of a file beyond that.
# https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT
_ZIP64_END, _ZIP64_END_BYTES = b"PK\x06\x07", 20
_ZIP64_FIELD = 1


@dataclass(frozen=True)
class Artifact:
    """A built artifact: its file, and what it says of itself.

    Attributes:
        measured_with: the versions of the packages that its golden vectors were made with.
        memory_bytes: what the process of the probe took at most, its engine included; None if
            nobody knows.
    """

    path: Path
    model: str
    version: str
    build: str
    dimensions: int
    kind: str
    engine: str
    packages: tuple[str, ...]
    measured_with: Mapping[str, str] = field(default_factory=dict)
    memory_bytes: int | None = None

    @property
    def place(self) -> Path:
        """Return its path on a stage."""
        return Path(self.model, self.version, f"{self.model}-{self.build}.zip")

    def pin(self) -> dict[str, Any]:
        """Return what dbt_project.yml says of it; by `bytes` a broken upload is seen."""
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
        path=path,
        model=manifest.model,
        version=manifest.version,
        build=build_in_name(path),
        dimensions=manifest.dimensions,
        kind=manifest.kind,
        engine=manifest.engine,
        packages=manifest.packages,
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
    """Return why a file that has a manifest is none of our artifacts, by its directory alone."""
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
