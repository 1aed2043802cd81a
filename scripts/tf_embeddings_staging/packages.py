"""Which Python packages a model needs where it runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

_OF_KIND: Mapping[str, tuple[str, ...]] = {
    "sentencepiece": ("numpy", "sentencepiece", "tensorflow"),
    "text": ("numpy", "tensorflow"),
    "tokens": ("numpy", "tensorflow", "tokenizers"),
}
_OF_LIBRARY = {"tensorflow_text": "tensorflow-text"}

KINDS = tuple(_OF_KIND)
"""The kinds of encoder."""


def packages_of(kind: str, libraries: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the packages of a kind of encoder and of the modules that its graph needs, by name."""
    return tuple(sorted([*_OF_KIND[kind], *(_OF_LIBRARY[library] for library in libraries)]))
