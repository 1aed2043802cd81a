"""What SOURCE may be: a model of the catalogue, a folder, or an artefact that was made before."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from tf_embeddings_udf import TfEmbeddingsError, read_manifest

from tf_embeddings_staging import cache, encoder_folder, saved_model
from tf_embeddings_staging.catalogue import Entry, catalogue
from tf_embeddings_staging.errors import StagingError


@dataclass(frozen=True)
class Folder:
    """A model's folder on this machine."""

    path: Path


@dataclass(frozen=True)
class Built:
    """An artefact that was made before: its file, and the model that it holds."""

    path: Path
    model: str


Source = Entry | Folder | Built

_FILE_NAME = re.compile(r"(?P<model>[a-z][a-z0-9_]{0,39})-(?P<build>b[0-9a-f]{12})\.zip")


def resolve(text: str) -> Source:
    """Return what SOURCE names: a model of the catalogue, a folder, or an artefact.

    Raises:
        StagingError: it is none of them, or the artefact is damaged or of another release.
    """
    if entry := catalogue().get(text):
        return entry
    path = Path(text).expanduser().absolute()
    names = ", ".join(sorted(catalogue()))
    if path.is_file() and (parts := _FILE_NAME.fullmatch(path.name)):
        return _built(text, path, parts["model"], parts["build"])
    if not path.is_dir():
        what = "a file, and no artefact" if path.is_file() else "no folder, and no catalogue name"
        raise StagingError(f"SOURCE '{text}' is {what}. {_ALLOWED.format(names=names)}")
    if not (saved_model.is_saved_model(path) or encoder_folder.is_encoder_folder(path)):
        raise StagingError(
            f"SOURCE '{text}' is a folder with neither saved_model.pb nor config.json. "
            f"{_ALLOWED.format(names=names)}"
        )
    return Folder(path)


def _built(text: str, path: Path, model: str, build: str) -> Built:
    """Return an artefact whose bytes, manifest and name agree."""
    came = f"b{cache.sha256_of(path)[:12]}"
    if came != build:
        raise StagingError(
            f"SOURCE '{text}' is damaged: its bytes have the build {came}, and its name says "
            f"{build}. Copy it again from where it was made."
        )
    try:
        manifest = read_manifest(path)
    except TfEmbeddingsError as error:
        raise StagingError(f"SOURCE '{text}': {str(error).removeprefix(_RUNTIME)}") from None
    if manifest.model != model:
        raise StagingError(
            f"SOURCE '{text}' holds the model '{manifest.model}', and its name says '{model}'. "
            f"Give it back the name '{manifest.model}-{build}.zip'."
        )
    return Built(path, model)


_RUNTIME = "tf_embeddings: "
_ALLOWED = (
    "It may be a name of the catalogue ({names}), the folder of a SavedModel that takes strings, "
    "the folder of a BERT sentence encoder (config.json, model.safetensors, tokenizer.json, "
    "modules.json), or an artefact that was made before (<model>-<build>.zip)."
)
