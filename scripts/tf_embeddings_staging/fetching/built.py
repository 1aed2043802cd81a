"""Artifacts that were made before, which are staged as they are."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tf_embeddings_udf import TfEmbeddingsError, build_of, read_manifest

from tf_embeddings_staging.building.artifact import is_whole, problem_of
from tf_embeddings_staging.errors import SourceError
from tf_embeddings_staging.fetching.fetch import Errand, Fetched, Source, UnusableError

_FILE_NAME = re.compile(r"(?P<model>[a-z][a-z0-9_]{0,39})-(?P<build>b[0-9a-f]{12})\.zip")
_RUNTIME = "tf_embeddings: "


@dataclass(frozen=True)
class Built(Source):
    """An artifact: its file, and the name of the model that it holds."""

    allowed = ("an artifact that was made before (<model>-<build>.zip)",)

    path: Path
    model: str

    @classmethod
    def of_text(cls, text: str) -> Self | None:
        """Return the artifact at this path, whose bytes, manifest and name agree."""
        path = Path(text).expanduser().absolute()
        parts = _FILE_NAME.fullmatch(path.name)
        if not parts or not path.is_file():
            return None
        if problem := _problem(path, parts["model"], parts["build"]):
            raise problem
        return cls(path, parts["model"])

    @property
    def label(self) -> str:
        """Return its file's name."""
        return self.path.name

    @property
    def name(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Return the name of its model."""
        return self.model

    def fetch(self, errand: Errand) -> Fetched:
        """Refuse: an artifact is not a model's files."""
        del errand
        raise SourceError("it is an artifact, which is staged as it is")


def is_artifact_name(name: str) -> bool:
    """Tell whether a file's name is that of an artifact."""
    return _FILE_NAME.fullmatch(name) is not None


def _problem(path: Path, model: str, build: str) -> UnusableError | None:
    """Return why an artifact cannot be staged."""
    again = (
        f"Copy it again from where it was made, or give the SOURCE that the model was made of, "
        f"with --name {model}."
    )
    try:
        found, manifest = build_of(path), read_manifest(path)
    except TfEmbeddingsError as error:
        if error.what:
            return UnusableError(f"cannot be staged: {error.what}.", again)
        return UnusableError(f"cannot be staged: {str(error).removeprefix(_RUNTIME)}", "")
    if found == build and (problem := problem_of(path)):
        return UnusableError(f"cannot be staged: {problem}.", again)
    if found != build or not is_whole(path, build):
        said = f"it is the build {found}" if found != build else "not all of it is as it was made"
        return UnusableError(
            f"is damaged: {said}, and its name says {build}.",
            "Copy it again from where it was made.",
        )
    if manifest.model != model:
        return UnusableError(
            f"holds the model '{manifest.model}', and its name says '{model}'.",
            f"Name it '{manifest.model}-{build}.zip' again.",
        )
    return None
