"""The record of a model, from the first look at it to the manifest of its artifact."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tf_embeddings_udf import CONTRACT, FORMAT
from tf_embeddings_udf.encoders import KINDS
from tf_embeddings_udf.engines import ENGINES, LIBRARIES, LITERT, TENSORFLOW
from tf_embeddings_udf.manifest import GOLDEN, MANIFEST

from tf_embeddings_staging import cache
from tf_embeddings_staging.errors import StagingError

# An encoder parameter that has its default is left out of the version, so that a new parameter
# does not change the versions of models that were staged before it existed.
DEFAULTS: Mapping[str, Any] = {
    "tags": ["serve"],
    "libraries": [],
    "pooling": None,
    "preprocessor": None,
}
INPUTS = tuple(dict.fromkeys(name for kind in KINDS.values() for name in kind.inputs))
"""The encoder parameters that name an input of the model."""

# What the graph does by itself once it is converted to LiteRT.
_IN_THE_GRAPH = ("libraries", "output", "preprocessor", "signature", "tags")


@dataclass(frozen=True)
class Model:
    """What a model is. Each step of staging returns a record that says more.

    Attributes:
        kind: the kind of encoder, a key of the runtime's `KINDS`.
        encoder: its parameters, for the engine `tensorflow`.
        normalize: whether vectors are scaled to length 1.
        max_tokens: the tokens after which a text is truncated; None where that is not known.
        prefix: the text that is put before each text.
        model_dimensions: the length of the vectors that the model gives; 1 until it has run.
        dimensions: how many of these numbers are kept.
        weights: the digests that the version depends on beside the parameters.
        source: where the model comes from, and the digests of its files.
        license: the license's name, if it is known.
        name: its name in the project.
        engine: the engine that runs it.
        row_by_row: whether it must be given one text at a time.
    """

    kind: str
    encoder: Mapping[str, Any]
    normalize: bool = False
    max_tokens: int | None = None
    prefix: str = ""
    model_dimensions: int = 1
    dimensions: int = 1
    weights: Mapping[str, Any] = field(default_factory=dict)
    source: Mapping[str, Any] = field(default_factory=dict)
    license: str | None = None
    name: str = "model"
    engine: str = TENSORFLOW
    row_by_row: bool = False

    def giving(self, dimensions: int) -> Model:
        """Return the record of a model whose vectors have this length."""
        return replace(self, model_dimensions=dimensions, dimensions=dimensions)

    def cut_to(self, dimensions: int | None) -> Model:
        """Return the record with only the first numbers of a vector kept; None keeps them all.

        Raises:
            StagingError: a vector has no more numbers than that.
        """
        if dimensions is None:
            return self
        if dimensions < self.model_dimensions:
            return replace(self, dimensions=dimensions)
        raise StagingError(
            f"--truncate-dim {dimensions} keeps the first numbers of a vector, and this model "
            f"gives {self.model_dimensions}. Give a smaller number, or leave it out."
        )

    def keeping(self, dimensions: int | None) -> Model:
        """Return the record with at most so many of a vector's first numbers, as a folder says."""
        kept = self.model_dimensions if dimensions is None else dimensions
        return replace(self, dimensions=min(kept, self.model_dimensions))

    @property
    def tokenizer(self) -> str | None:
        """Return the path of its tokenizer's file in the model's folder, if it has one."""
        parameter = KINDS[self.kind].tokenizer
        return self.encoder[parameter] if parameter else None

    @property
    def packages(self) -> tuple[str, ...]:
        """Return the Python packages that it needs where it runs, by name."""
        return packages_of(self.kind, self.engine, self.encoder.get("libraries", ()))

    @property
    def version(self) -> str:
        """Return the version: the digest of what a vector of this model means."""
        return version_of(self.meaning)

    @property
    def meaning(self) -> dict[str, Any]:
        """Return what a vector of this model means, the same on every machine and every engine."""
        meaning: dict[str, Any] = {
            "contract": CONTRACT,
            "kind": self.kind,
            "encoder": without_defaults(self.encoder),
            "normalize": self.normalize,
            "dimensions": self.dimensions,
            "weights": self.weights,
        }
        if self.prefix:
            meaning["prefix"] = self.prefix
        if self.model_dimensions != self.dimensions:
            meaning["model_dimensions"] = self.model_dimensions
        return meaning

    def manifest(self, files: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        """Return the manifest of an artifact that holds these files, ready for JSON."""
        is_converted = self.engine == LITERT
        manifest = {
            "format": FORMAT,
            "contract": CONTRACT,
            "model": self.name,
            "version": self.version,
            "meaning": self.meaning,
            "dimensions": self.dimensions,
            "model_dimensions": self.dimensions if is_converted else self.model_dimensions,
            "kind": self.kind,
            "engine": self.engine,
            "encoder": litert_parameters(self.encoder) if is_converted else self.encoder,
            "normalize": self.normalize,
            "max_tokens": self.max_tokens,
            "prefix": self.prefix,
            "packages": self.packages,
            "files": files,
        }
        return {**manifest, "row_by_row": True} if self.row_by_row else manifest


def litert_parameters(encoder: Mapping[str, Any]) -> dict[str, Any]:
    """Return the encoder parameters of a model that was converted to LiteRT."""
    parameters = {
        name: name if name in INPUTS and value is not None else value
        for name, value in encoder.items()
        if name not in _IN_THE_GRAPH
    }
    if encoder.get("attention_mask"):
        parameters.pop("pooling", None)
    return parameters


def without_defaults(encoder: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of an encoder that are a part of its version."""
    return {
        name: value
        for name, value in encoder.items()
        if name not in DEFAULTS or value != DEFAULTS[name]
    }


def version_of(meaning: Mapping[str, Any]) -> str:
    """Return the version that a meaning has."""
    return "v" + cache.digest_of(meaning)[:12]


def packages_of(kind: str, engine: str | None, libraries: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the packages of a kind of encoder on an engine, by name.

    Args:
        kind: a key of the runtime's `KINDS`.
        engine: a key of its `ENGINES`; None where it is not known yet: no package is named for it.
        libraries: the modules that the model's graph needs beside TensorFlow.
    """
    engines = [ENGINES[engine][1]] if engine else []
    more = [LIBRARIES[library] for library in libraries]
    return tuple(sorted([*KINDS[kind].packages, *engines, *more]))


def write_manifest(model: Model, folder: Path) -> None:
    """Write the manifest of a model and of all files in the folder of its artifact."""
    files = {
        relative: {"sha256": cache.sha256_of(path), "bytes": path.stat().st_size}
        for relative, path in files_in(folder).items()
        if relative not in (MANIFEST, GOLDEN)
    }
    (folder / MANIFEST).write_bytes(as_json(model.manifest(files), indent=1))


def files_in(folder: Path) -> dict[str, Path]:
    """Return the files of an artifact's folder, by their path in it."""
    return {
        path.relative_to(folder).as_posix(): path
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def as_json(value: object, *, indent: int | None = None) -> bytes:
    """Return a value as JSON whose bytes depend only on the value."""
    text = json.dumps(value, sort_keys=True, indent=indent, ensure_ascii=False)
    return f"{text}\n".encode()
