"""Models on this machine."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from tf_embeddings_staging import cache
from tf_embeddings_staging.conversion import folders
from tf_embeddings_staging.errors import SourceError, StagingError
from tf_embeddings_staging.fetching.archive import find_root, is_archive_name
from tf_embeddings_staging.fetching.built import is_artifact_name
from tf_embeddings_staging.fetching.fetch import (
    Errand,
    Fetched,
    Source,
    UnusableError,
    require_sha256,
)
from tf_embeddings_staging.fetching.kept import is_as_listed
from tf_embeddings_staging.inspection.files import is_saved_model


@dataclass(frozen=True)
class Local(Source):
    """The folder of a model, an archive of it, or a .keras file."""

    key = "path"
    allowed = (
        "such an archive on this machine",
        "the folder of a SavedModel",
        "the folder of a sentence encoder (config.json, model.safetensors, tokenizer.json, "
        "modules.json)",
        "a .keras file",
    )
    preparing = allowed[:2]

    path: Path

    @classmethod
    def of_text(cls, text: str) -> Self | None:
        """Return the folder or the file that has this path."""
        path = Path(text).expanduser().absolute()
        if "://" in text or not path.exists() or is_artifact_name(path.name):
            return None
        if problem := _problem(path):
            raise problem
        return cls(path)

    @property
    def label(self) -> str:
        """Return its name."""
        return self.path.name

    @property
    def likely_kind(self) -> str:
        """Return `tokens` or `static` for the folder of an encoder."""
        is_encoder = self.path.is_dir() and not is_saved_model(self.path)
        return folders.likely_kind(self.path) if is_encoder else "text"

    def beside(self, folder: Path) -> Self:
        """Return this path as it is meant in a file of this folder."""
        return replace(self, path=folder.absolute() / self.path.expanduser())

    def fetch(self, errand: Errand) -> Fetched:
        """Return the model as it is, or unpacked."""
        path, name = self.path, self.path.name
        if not path.exists():
            raise SourceError(f"there is no file or folder '{path}'")
        if problem := _problem(path):
            raise SourceError(f"it {problem}".removesuffix("."))
        if path.is_dir():
            if errand.sha256:
                raise StagingError(
                    f"--sha256 is the digest of a file, and SOURCE '{name}' is a folder. Leave "
                    f"--sha256 out."
                )
            return Fetched(path, f"folder:{name}")
        found = cache.sha256_of(path)
        require_sha256(f"SOURCE '{name}'", found, errand.sha256)
        if path.suffix == ".keras":
            return Fetched(path, f"file:{name}")
        place = errand.place(name, found)
        if is_as_listed(place):
            return Fetched(find_root(place, name), f"archive:{name}", place)
        with cache.work_folder(errand.folder) as work:
            return Fetched(errand.keep_archive(path, name, place, work), f"archive:{name}", place)

    def next_step(self, error: SourceError) -> str:
        """Return what to do where it cannot be read."""
        del error
        return " Look at the path, and run this again."


def _problem(path: Path) -> UnusableError | None:
    """Return why what is there cannot be staged."""
    if path.is_dir():
        if is_saved_model(path) or folders.is_encoder_folder(path):
            return None
        return UnusableError("is a folder with neither saved_model.pb nor config.json.")
    if is_artifact_name(path.name):
        return UnusableError(
            f"is the artifact '{path.name}', which is staged as it is.",
            "Give that file itself as SOURCE.",
        )
    if is_archive_name(path.name) or path.suffix == ".keras":
        return None
    if path.suffix in (".h5", ".hdf5"):
        return UnusableError(
            "is a model in the old format of Keras, which cannot be staged.",
            "Load it with the Keras that made it, and save it as .keras.",
        )
    return UnusableError("is a file of a format that cannot be staged.")
