"""An artefact that is built: its file, and what its pin says."""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from tf_embeddings_udf import TfEmbeddingsError, build_of, read_manifest
from tf_embeddings_udf.artefact import problem_in
from tf_embeddings_udf.manifest import GOLDEN, UNREADABLE

from tf_embeddings_staging import cache

# A zip's last record, which has no comment here.
_END, _END_BYTES = b"PK\x05\x06", 22
_NOTHING = {"texts": [], "vectors": [], "token_counts": []}


@dataclass(frozen=True)
class Artefact:
    """A built artefact: its file, and what it says of itself.

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


def read_artefact(path: Path) -> Artefact:
    """Return what a whole artefact says of itself."""
    manifest = read_manifest(path)
    with zipfile.ZipFile(path) as archive:
        golden = _golden(archive)
    return Artefact(
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
    """Tell whether a file is the artefact of a build, to the last byte that decides what runs."""
    try:
        manifest = read_manifest(path)
        with zipfile.ZipFile(path) as archive:
            return (
                build_of(path) == build
                and _ends_with_its_directory(path)
                and problem_in(archive, manifest) is None
                and _is_golden(_golden(archive))
                and all(
                    _digest(archive, name, entry.bytes) == entry.sha256
                    for name, entry in manifest.files.items()
                )
            )
    except (TfEmbeddingsError, OSError, RecursionError, *UNREADABLE):
        return False


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


def _golden(archive: zipfile.ZipFile) -> Any:  # noqa: ANN401 - of JSON
    """Return what was measured; nothing, if the artefact does not say."""
    return json.loads(archive.read(GOLDEN)) if GOLDEN in archive.namelist() else _NOTHING


def _is_golden(value: Any) -> bool:  # noqa: ANN401 - of JSON
    """Tell whether this is what golden.json holds: the build does not vouch for it."""
    if not isinstance(value, dict):
        return False
    lists = [value.get(name) for name in ("texts", "vectors", "token_counts")]
    if not all(isinstance(one, list) and len(one) == len(lists[0] or ()) for one in lists):
        return False
    texts, vectors, counts = cast("list[list[Any]]", lists)
    versions, memory = value.get("measured_with", {}), value.get("memory_bytes")
    return (
        all(isinstance(text, str) for text in texts)
        and all(vector is None or isinstance(vector, str) for vector in vectors)
        and all(count is None or type(count) is int for count in counts)
        and isinstance(versions, dict)
        and (memory is None or type(memory) is int)
    )


def build_in_name(path: Path) -> str:
    """Return the build that an artefact's file name says."""
    return path.stem.rpartition("-")[2]
