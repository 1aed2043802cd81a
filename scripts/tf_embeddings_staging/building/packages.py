"""Which Python packages a model needs where it runs."""

from __future__ import annotations

from collections.abc import Sequence

from tf_embeddings_staging.catalogue import PACKAGES

_OF_LIBRARY = {"tensorflow_text": "tensorflow-text"}


def packages_of(kind: str, libraries: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the packages of a kind of encoder and of the modules that its graph needs, by name."""
    return tuple(sorted([*PACKAGES[kind], *(_OF_LIBRARY[library] for library in libraries)]))
