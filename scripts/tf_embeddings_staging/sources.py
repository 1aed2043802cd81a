"""What SOURCE may be: one class for each kind, and the way from the user's text to it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from urllib.parse import urlsplit

from tf_embeddings_staging.errors import StagingError
from tf_embeddings_staging.fetching.archive_address import Archive
from tf_embeddings_staging.fetching.built import Built
from tf_embeddings_staging.fetching.fetch import Source, UnusableError
from tf_embeddings_staging.fetching.hugging_face import HuggingFace
from tf_embeddings_staging.fetching.kaggle import Kaggle
from tf_embeddings_staging.fetching.local import Local
from tf_embeddings_staging.fetching.python_package import ArchiveInPackages, PythonPackage
from tf_embeddings_staging.fetching.tf_hub import TfHub
from tf_embeddings_staging.redaction import address

__all__ = [
    "SOURCES",
    "Archive",
    "ArchiveInPackages",
    "Built",
    "HuggingFace",
    "Kaggle",
    "Local",
    "PythonPackage",
    "Source",
    "TfHub",
    "resolve",
    "resolve_preprocessor",
]

# The first that recognizes the user's text takes it.
SOURCES: Sequence[type[Source]] = (
    HuggingFace,
    Kaggle,
    TfHub,
    Archive,
    PythonPackage,
    ArchiveInPackages,
    Local,
    Built,
)


def _listed(given: Iterable[str]) -> str:
    *first, last = given
    return f"{', '.join(first)}, or {last}."


_ALLOWED = (
    "SOURCE may be a name of the catalogue (--list shows them), "
    f"{_listed(chain.from_iterable(kind.allowed for kind in SOURCES))}"
)
_PREPROCESSOR = (
    "It must be a SavedModel that turns texts into the model's inputs: "
    f"{_listed(chain.from_iterable(kind.preparing for kind in SOURCES))}"
)


def resolve(text: str, entries: Mapping[str, Source]) -> Source:
    """Return what SOURCE names.

    Args:
        text: what the user wrote.
        entries: the catalogue.

    Raises:
        StagingError: it names nothing that can be staged, or an artifact that is damaged or of
            another release.
    """
    if source := entries.get(text) or _resolve(text, "SOURCE", _ALLOWED):
        return source
    raise StagingError(
        f"SOURCE '{text}' is not in the catalogue, and there is no such file or folder. Give a "
        f"name that --list shows, the path of a model or an artifact, or an id or address as "
        f"--help shows them."
    )


def resolve_preprocessor(text: str) -> Source:
    """Return what --preprocessor names.

    Raises:
        StagingError: it names nothing that can hold a SavedModel.
    """
    source = _resolve(text, "--preprocessor", _PREPROCESSOR)
    if source and source.preparing:
        return source
    problem = "is not a SavedModel" if source else "is not the path of a file or a folder"
    raise StagingError(f"--preprocessor '{text}' {problem}. {_PREPROCESSOR}")


def _resolve(text: str, what: str, allowed: str) -> Source | None:
    """Return the source that a text names, None if no kind recognizes it."""
    is_address = "://" in text
    if is_address:
        _require_readable(text, what, allowed)
    shown = f"{what} '{address(text)}'"
    try:
        for kind in SOURCES:
            if source := kind.of_text(text):
                return source
    except UnusableError as error:
        hint = allowed if error.hint is None else error.hint
        raise StagingError(f"{shown} {error} {hint}".rstrip()) from None
    if is_address:
        raise StagingError(f"{shown} is neither a model's page nor an archive. {allowed}")
    return None


def _require_readable(text: str, what: str, allowed: str) -> None:
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        raise StagingError(f"{what} is an address that cannot be read. {allowed}") from None
    if parts.scheme.lower() not in ("http", "https") or not parts.hostname:
        raise StagingError(
            f"{what} '{address(text)}' is not an address of http or https. {allowed}"
        )
