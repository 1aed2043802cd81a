"""What SOURCE may be: a model of the catalogue, something on this machine, or an address."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit

from tf_embeddings_udf import TfEmbeddingsError, build_of, read_manifest

from tf_embeddings_staging.building.artifact import is_whole, problem_of
from tf_embeddings_staging.catalogue import Entry
from tf_embeddings_staging.conversion import encoder_folder
from tf_embeddings_staging.errors import StagingError
from tf_embeddings_staging.fetching import kaggle
from tf_embeddings_staging.fetching.archive import is_archive_name
from tf_embeddings_staging.inspection.files import is_saved_model
from tf_embeddings_staging.redaction import address


@dataclass(frozen=True)
class Local:
    """A model on this machine: its folder, an archive of it, or a .keras file."""

    path: Path


@dataclass(frozen=True)
class Remote:
    """A model behind an address, and how it is asked for.

    Attributes:
        url: the address; a Kaggle model's is that of its page.
        protocol: `tf_hub` for what tensorflow_hub resolves, `kaggle` for a model of Kaggle,
            `archive` for a plain download.
    """

    url: str
    protocol: Literal["tf_hub", "kaggle", "archive"]


@dataclass(frozen=True)
class Built:
    """An artifact that was made before: its file, and the model that it holds."""

    path: Path
    model: str


Source = Entry | Local | Remote | Built

_FILE_NAME = re.compile(r"(?P<model>[a-z][a-z0-9_]{0,39})-(?P<build>b[0-9a-f]{12})\.zip")
_TF_HUB = ("tfhub.dev", "www.tfhub.dev")
_VERSION = re.compile(r"[0-9]+")
_FORMAT = "tf-hub-format"


def resolve_preprocessor(text: str) -> Local | Remote:
    """Return what --preprocessor names.

    Raises:
        StagingError: it names nothing that can hold a SavedModel.
    """
    path = Path(text).expanduser().absolute()
    is_address = "://" in text or text.startswith(kaggle.SHORT)
    if not is_address and not path.exists():
        raise StagingError(
            f"--preprocessor '{text}': there is no such file or folder. {_PREPROCESSOR}"
        )
    try:
        source = resolve(text, {})
    except StagingError as error:
        said = str(error).replace("SOURCE", "--preprocessor", 1)
        raise StagingError(said.replace(_ALLOWED, _PREPROCESSOR)) from None
    if isinstance(source, Local | Remote):
        return source
    raise StagingError(f"--preprocessor '{text}' is an artifact. {_PREPROCESSOR}")


def resolve(text: str, entries: Mapping[str, Entry]) -> Source:
    """Return what SOURCE names.

    Args:
        text: what the user wrote.
        entries: the catalogue.

    Raises:
        StagingError: it names nothing that can be staged, or an artifact that is damaged or of
            another release.
    """
    if entry := entries.get(text):
        return entry
    if text.startswith(kaggle.SHORT):
        return Remote(kaggle.parse(text).page, "kaggle")
    if "://" in text:
        return remote(text)
    path = Path(text).expanduser().absolute()
    if path.exists():
        return local(text, path)
    raise StagingError(
        f"SOURCE '{text}' is no name of the catalogue ({', '.join(sorted(entries))}), and there "
        f"is no such file or folder. {_ALLOWED}"
    )


def local(text: str, path: Path) -> Local | Built:
    """Return what a path that is there names; `text` is how the user wrote it.

    Raises:
        StagingError: nothing that can be staged, or a damaged artifact.
    """
    return _folder(text, path) if path.is_dir() else _file(text, path)


def remote(text: str) -> Remote:
    """Return what an address names.

    Raises:
        StagingError: nothing that can be staged.
    """
    parts = _split(text)
    shown = f"SOURCE '{address(text)}'"
    if parts.scheme.lower() not in ("http", "https") or not parts.hostname:
        raise StagingError(f"{shown} is no address of http or https. {_ALLOWED}")
    if parts.hostname in kaggle.HOSTS:
        return Remote(kaggle.parse(text).page, "kaggle")
    if is_archive_name(parts.path):
        return Remote(text, "archive")
    path = [part for part in parts.path.split("/") if part]
    if len(path) >= 3 and _VERSION.fullmatch(path[-1]):
        return Remote(_handle(parts), "tf_hub")
    if parts.hostname in _TF_HUB:
        raise StagingError(
            f"{shown} is no TF-Hub handle with a version: it must be "
            f"https://tfhub.dev/<publisher>/<model>/<version>, with a number at its end, for what "
            f"stands behind a handle without one changes."
        )
    raise StagingError(f"{shown} is neither a handle nor an archive. {_ALLOWED}")


def _split(text: str) -> SplitResult:
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        raise StagingError(f"SOURCE is an address that cannot be read. {_ALLOWED}") from None
    return parts


def _handle(parts: SplitResult) -> str:
    """Return a handle as tensorflow_hub knows it: the names in its cache are digests of handles."""
    query = [(name, value) for name, value in parse_qsl(parts.query) if name != _FORMAT]
    path = parts.path.rstrip("/")
    return parts._replace(path=path, query=urlencode(query), fragment="").geturl()


def _folder(text: str, path: Path) -> Local:
    if is_saved_model(path) or encoder_folder.is_encoder_folder(path):
        return Local(path)
    raise StagingError(
        f"SOURCE '{text}' is a folder with neither saved_model.pb nor config.json. {_ALLOWED}"
    )


def _file(text: str, path: Path) -> Local | Built:
    if parts := _FILE_NAME.fullmatch(path.name):
        return _built(text, path, parts["model"], parts["build"])
    if is_archive_name(path.name) or path.suffix == ".keras":
        return Local(path)
    if path.suffix in (".h5", ".hdf5"):
        raise StagingError(
            f"SOURCE '{text}' is a model in the old format of Keras, which cannot be staged. Load "
            f"it with the Keras that made it, and save it as .keras."
        )
    raise StagingError(f"SOURCE '{text}' is a file, and none that can be staged. {_ALLOWED}")


def _built(text: str, path: Path, model: str, build: str) -> Built:
    """Return an artifact whose bytes, manifest and name agree."""
    again = (
        f"Copy it again from where it was made, or give the SOURCE that the model was made of, "
        f"with --name {model}."
    )
    try:
        came, manifest = build_of(path), read_manifest(path)
    except TfEmbeddingsError as error:
        said = str(error).removeprefix(_RUNTIME)
        if error.what:
            said = f"the artifact {path.name} cannot be used: {error.what}. {again}"
        raise StagingError(f"SOURCE '{text}': {said}") from None
    if came == build and (problem := problem_of(path)):
        raise StagingError(f"SOURCE '{text}' cannot be staged: {problem}. {again}")
    if came != build or not is_whole(path, build):
        said = f"it is the build {came}" if came != build else "not all of it is as it was made"
        raise StagingError(
            f"SOURCE '{text}' is damaged: {said}, and its name says {build}. Copy it again from "
            f"where it was made."
        )
    if manifest.model != model:
        raise StagingError(
            f"SOURCE '{text}' holds the model '{manifest.model}', and its name says '{model}'. "
            f"Give it back the name '{manifest.model}-{build}.zip'."
        )
    return Built(path, model)


_RUNTIME = "tf_embeddings: "
_PREPROCESSOR = (
    "It must be a SavedModel that makes the model's inputs of texts: its folder, an archive of it "
    "(.tar.gz, .tgz, .tar, .zip) or the address of one, a TF-Hub handle, or a Kaggle model."
)
_ALLOWED = (
    "SOURCE may be a name of the catalogue (--list shows them), a TF-Hub handle "
    "(https://tfhub.dev/<publisher>/<model>/<version>), a Kaggle model "
    "(kaggle:<owner>/<model>/<framework>/<variation>/<version>), the address of a .tar.gz, .tgz, "
    ".tar or .zip, such an archive on this machine, the folder of a SavedModel, the folder of a "
    "BERT sentence encoder (config.json, model.safetensors, tokenizer.json, modules.json), a "
    ".keras file, or an artifact that was made before (<model>-<build>.zip)."
)
