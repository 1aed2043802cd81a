"""An artefact that is built: its file, and what its pin says."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tf_embeddings_udf import TfEmbeddingsError, build_of, read_manifest
from tf_embeddings_udf.manifest import GOLDEN

from tf_embeddings_staging import cache


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
        """Return what dbt_project.yml says of it."""
        return {
            "version": self.version,
            "build": self.build,
            "dimensions": self.dimensions,
            "kind": self.kind,
            "packages": list(self.packages),
        }


def read_artefact(path: Path) -> Artefact:
    """Return what a whole artefact says of itself."""
    manifest = read_manifest(path)
    with zipfile.ZipFile(path) as archive:
        golden = json.loads(archive.read(GOLDEN)) if GOLDEN in archive.namelist() else {}
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
        if build_of(path) != build:
            return False
        with zipfile.ZipFile(path) as archive:
            archive.read(GOLDEN)  # for its checksum
            for name, entry in read_manifest(path).files.items():
                digest = hashlib.sha256()
                with archive.open(name) as file:
                    while chunk := file.read(cache.CHUNK):
                        digest.update(chunk)
                if digest.hexdigest() != entry.sha256:
                    return False
    except (TfEmbeddingsError, OSError, KeyError, zipfile.BadZipFile):
        return False
    return True


def build_in_name(path: Path) -> str:
    """Return the build that an artefact's file name says."""
    return path.stem.rpartition("-")[2]
