"""An artefact that is built: its file, and what its pin says."""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Artefact:
    """A built artefact: its file, and what its manifest says.

    Attributes:
        memory_bytes: what the process of the probe took at most, TensorFlow included, rounded up;
            None if nobody knows.
    """

    path: Path
    model: str
    version: str
    build: str
    dimensions: int
    kind: str
    packages: tuple[str, ...]
    tensorflow: str = ""
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
    """Return what a whole artefact's manifest says."""
    with zipfile.ZipFile(path) as archive:
        manifest = json.loads(archive.read(MANIFEST))
    return Artefact(
        path=path,
        model=manifest["model"],
        version=manifest["version"],
        build=build_in_name(path),
        dimensions=manifest["dimensions"],
        kind=manifest["kind"],
        packages=tuple(manifest["packages"]),
        tensorflow=manifest["tensorflow"],
        memory_bytes=manifest["memory_bytes"],
    )


def build_in_name(path: Path) -> str:
    """Return the build that an artefact's file name says."""
    return path.stem.rpartition("-")[2]
