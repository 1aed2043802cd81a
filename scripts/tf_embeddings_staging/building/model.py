"""A model that is ready to be packed, and its version."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tf_embeddings_udf import CONTRACT
from tf_embeddings_udf.engines import LITERT, TENSORFLOW

from tf_embeddings_staging import cache

# What an encoder is unless its parameters say otherwise. A default is no part of the version, for
# it says nothing that was not so before there was a choice.
DEFAULTS: Mapping[str, Any] = {
    "tags": ["serve"],
    "libraries": [],
    "pooling": None,
    "preprocessor": None,
}
_OF_KIND: Mapping[str, tuple[str, ...]] = {
    "sentencepiece": ("numpy", "sentencepiece"),
    "text": ("numpy",),
    "tokens": ("numpy", "tokenizers"),
}
_OF_ENGINE = {LITERT: "ai-edge-litert", TENSORFLOW: "tensorflow"}
_OF_LIBRARY = {"tensorflow_text": "tensorflow-text"}


@dataclass(frozen=True)
class Model:
    """A model whose files are laid out, and what the manifest says of it.

    Attributes:
        kind: the kind of encoder.
        encoder: its parameters.
        model_dimensions: the length of what the model gives.
        dimensions: how many of these numbers are kept.
        normalize: whether vectors are scaled to length 1.
        max_tokens: the tokens after which a text is truncated; None where nobody can tell.
        prefix: what is put before each text.
        weights: what the version is a digest of, beside the parameters.
        source: where it comes from, and the digests of its files.
        license: the license's name, if it is known.
    """

    kind: str
    encoder: Mapping[str, Any]
    model_dimensions: int
    dimensions: int
    normalize: bool
    max_tokens: int | None
    prefix: str
    weights: Mapping[str, Any]
    source: Mapping[str, Any]
    license: str | None

    def packages(self, engine: str) -> tuple[str, ...]:
        """Return the Python packages that it needs where it runs on this engine."""
        return packages_of(self.kind, engine, self.encoder.get("libraries", ()))

    def version(self) -> str:
        """Return the version: the digest of what a vector of this model means."""
        return version_of(self.meaning())

    def meaning(self) -> dict[str, Any]:
        """Return what a vector of this model means, whoever built it, where, and for which engine.

        What runs it is no part of it: the engines give the same vectors.
        """
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
        kind: text, tokens or sentencepiece.
        engine: litert or tensorflow; None where it is not known yet: then none is named for it.
        libraries: the modules that the model's graph needs beside TensorFlow.
    """
    engines = [_OF_ENGINE[engine]] if engine else []
    more = [_OF_LIBRARY[library] for library in libraries]
    return tuple(sorted([*_OF_KIND[kind], *engines, *more]))
