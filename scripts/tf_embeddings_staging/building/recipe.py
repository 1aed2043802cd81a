"""What an artifact's bytes depend on: two builds with one recipe make the same file."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from tf_embeddings_udf.encoders import KINDS
from tf_embeddings_udf.engines import ENGINES

from tf_embeddings_staging import cache
from tf_embeddings_staging.building.artifact import (
    installed_version,
    is_installed,
    python_files,
    runtime_folder,
)
from tf_embeddings_staging.building.prepare import Input
from tf_embeddings_staging.catalogue import Entry
from tf_embeddings_staging.conversion import keras_file
from tf_embeddings_staging.conversion.encoder_folder import TOKENIZER
from tf_embeddings_staging.conversion.folders import Folder, read_folder
from tf_embeddings_staging.errors import StagingError
from tf_embeddings_staging.inspection.files import files_of, require_text
from tf_embeddings_staging.inspection.neighbors import Neighbors, find_neighbors

# Packages whose version decides about the graph, the numbers or what a manifest says.
_OF_ENGINES = {package for _, package in ENGINES.values()}
_OF_KINDS = {package for kind in KINDS.values() for package in kind.packages}
_PACKAGES = sorted({"safetensors", *_OF_ENGINES, *_OF_KINDS})
_OPTIONAL_PACKAGES = ("keras", "tensorflow-text")


def require_packages() -> None:
    """Require what making an artifact needs, before anything is fetched.

    Raises:
        StagingError: a package is not installed.
    """
    for package in _PACKAGES:
        installed_version(package)


def recipe(name: str, given: Input, entry: Entry | None) -> dict[str, Any]:
    """Return all that the artifact of a model depends on, ready for JSON.

    Raises:
        StagingError: a package is not installed, an encoder's folder is not valid, or a name is
            not UTF-8.
    """
    require_text(given.fetched.uri)
    return {
        "name": name,
        "model": _model(given),
        "uri": given.fetched.uri,
        "preprocessor": given.preprocessor
        and {
            "uri": given.preprocessor.uri,
            "files": _digests(files_of(given.preprocessor.path)),
        },
        "entry": entry and asdict(entry),
        "options": asdict(replace(given.options, preprocessor=None)),
        "runtime": _digests(python_files(runtime_folder())),
        "staging": _digests(python_files(Path(__file__).resolve().parents[1])),
        "packages": {
            **{package: installed_version(package) for package in _PACKAGES},
            **{package: _version_or_none(package) for package in _OPTIONAL_PACKAGES},
        },
    }


def _model(given: Input) -> dict[str, Any]:
    path = given.fetched.path
    if given.is_keras_file:
        return {"keras": keras_file.content_digests(path)}
    if not given.is_encoder_folder:
        return {"saved_model": _digests(files_of(path)), "beside": _beside(given)}
    encoder = read_folder(path, given.options)
    return {
        "encoder": {
            **encoder.architecture(),
            "normalize": encoder.model.normalize,
            "max_tokens": encoder.model.max_tokens,
            "prefix": encoder.model.prefix,
        },
        "files": {
            **_digests(encoder.files()),
            TOKENIZER: _digest_of_tokenizer(encoder),
        },
    }


def _beside(given: Input) -> dict[str, Any] | str | None:
    """Return what the inspection may learn from the files outside a SavedModel."""
    try:
        found = find_neighbors(given.fetched.path, given.fetched.root, given.options)
    except StagingError as error:  # The inspection says so, if it asks.
        return str(error)
    if found is None:
        return None
    return {**asdict(replace(found, rewritten=None)), "tokenizer": _digest_of_tokenizer(found)}


def _digest_of_tokenizer(found: Folder | Neighbors) -> str:
    """Return the digest of the tokenizer.json that goes into the artifact."""
    if found.rewritten is None:
        return cache.sha256_of(found.tokenizer)
    return hashlib.sha256(found.rewritten).hexdigest()


def _digests(files: Mapping[str, Path]) -> dict[str, str]:
    return {name: cache.sha256_of(path) for name, path in files.items()}


def _version_or_none(package: str) -> str | None:
    return installed_version(package) if is_installed(package) else None
