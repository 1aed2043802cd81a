"""Folders of the cache that hold a model: whether they are still what was put there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from tf_embeddings_staging import cache
from tf_embeddings_staging.errors import SourceError
from tf_embeddings_staging.inspection.files import is_hidden

_LIST = ".files.json"


def write_list(folder: Path) -> None:
    """Write the digests of a folder's files beside them."""
    (folder / _LIST).write_text(json.dumps(_digests(folder), sort_keys=True), encoding="utf-8")


def is_as_listed(folder: Path) -> bool:
    """Tell whether a folder's files are those that `write_list` saw."""
    try:
        listed = json.loads((folder / _LIST).read_bytes())
    except (FileNotFoundError, ValueError):
        return False
    return listed == _digests(folder)


def require_digests(folder: Path, digests: Mapping[str, str]) -> None:
    """Require files of a folder, by name, to have these SHA-256.

    Raises:
        SourceError: one is missing, or has a different one.
    """
    for name, expected in digests.items():
        if not (folder / name).is_file():
            raise SourceError(f"it has no '{name}'")
        require_digest(folder / name, expected)


def require_digest(path: Path, expected: str) -> None:
    """Require a file to have this SHA-256.

    Raises:
        SourceError: it has a different one.
    """
    if (found := cache.sha256_of(path)) != expected:
        raise SourceError(f"'{path.name}' has the SHA-256 {found}, not {expected}")


def digest_of_files(folder: Path) -> str:
    """Return one SHA-256 of all of a folder's files, but for hidden ones such as .DS_Store."""
    listed = {name: digest for name, digest in _digests(folder).items() if not is_hidden(name)}
    return cache.digest_of(listed)


def _digests(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): cache.sha256_of(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path != folder / _LIST
    }
