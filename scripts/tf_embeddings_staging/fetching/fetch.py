"""What a source of a model is, and what it gives.

A kind of source is one class: a module in this folder, and one line in `sources.SOURCES`.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Self
from urllib.parse import unquote, urlsplit

from tf_embeddings_staging import cache
from tf_embeddings_staging.errors import SourceError, StagingError
from tf_embeddings_staging.fetching.archive import Bounds, find_root, unpack
from tf_embeddings_staging.fetching.download import DownloadError, Patience
from tf_embeddings_staging.fetching.kept import is_as_listed, require_digests, write_list
from tf_embeddings_staging.options import Limits, Options
from tf_embeddings_staging.progress import Report


@dataclass(frozen=True)
class Fetched:
    """A model's files.

    Attributes:
        path: the folder of a SavedModel or of an encoder, or a .keras file.
        uri: where they come from, without this machine's paths and without secrets.
        root: the folder that was fetched or unpacked, if one was: whatever lies above it does not
            belong to the model.
    """

    path: Path
    uri: str
    root: Path | None = None

    @property
    def folder(self) -> Path:
        """Return the folder that holds the model, or its file."""
        return self.path.parent if self.path.is_file() else self.path


@dataclass(frozen=True)
class Errand:
    """What every fetch needs.

    Attributes:
        folder: the cache. TF-Hub's modules are in TF-Hub's own.
        report: tells the user.
        limits: `download_bytes` is that of a download, and of what an archive unpacks to.
        patience: how often a download is tried.
        sha256: the digest that an archive or a file must have, if the user gave one.
        digests: those that the model's files must have, as far as they are known.
    """

    folder: Path
    report: Report
    limits: Limits
    patience: Patience = field(default_factory=Patience)
    sha256: str | None = None
    digests: Mapping[str, str] = field(default_factory=dict)

    def place(self, name: str, digest: str) -> Path:
        """Return the cache's folder for a source with this name, or address, and this digest."""
        stem = unquote(urlsplit(name).path.rstrip("/").rpartition("/")[2]) or "model"
        slug = re.sub(r"[^a-z0-9]+", "-", stem.lower()).strip("-")[:60]
        return self.folder / "sources" / f"{slug or 'model'}-{digest[:12]}"

    def unpack(self, archive: Path, label: str, target: Path) -> Path:
        """Unpack an archive into a new folder; return the folder."""
        with self.report.step(f"Unpacking {label}"):
            unpack(archive, target, label, Bounds(self.limits.download_bytes))
        return target

    def keep_archive(self, archive: Path, label: str, place: Path, work: Path) -> Path:
        """Unpack an archive into the cache; return where the model is in it."""
        unpacked = self.unpack(archive, label, work / "unpacked")
        model = find_root(unpacked, label)  # what holds no model is not kept
        self.keep(unpacked, place, model.parent if model.is_file() else model)
        return find_root(place, label)

    def keep(self, folder: Path, place: Path, model: Path | None = None) -> None:
        """Move a finished folder into the cache, with the digests of its files.

        `model` is the folder of the model in it, if it is not the same.

        Raises:
            SourceError: it lacks a file whose digest is known, or has a different one.
        """
        require_digests(model or folder, self.digests)
        write_list(folder)
        cache.move_folder(folder, place, is_as_listed)


class UnusableError(Exception):
    """The user's text has the form of a source, and cannot be one.

    The message continues a sentence that begins with that text. `hint` is the next step; without
    one, the user reads what SOURCE may be.
    """

    def __init__(self, message: str, hint: str | None = None) -> None:
        """Tell why."""
        super().__init__(message)
        self.hint = hint


class Source(ABC):
    """A kind of place that a model comes from.

    Attributes:
        key: what the catalogue calls this kind; None where it cannot hold one.
        allowed: what SOURCE may be to name one, for the error that lists it.
        preparing: what of this --preprocessor takes too.
        name: the name that the model brings along; without one, the user gives it.
        kind: the kind of encoder, if the source says it.
        likely_kind: the kind that it probably is, before its files are here.
        options: what the source says of the model, as the command line would.
        license: the model's license, as SPDX writes it.
        packages: the Python packages that the model needs beyond those of its kind.
    """

    key: ClassVar[str | None] = None
    allowed: ClassVar[tuple[str, ...]] = ()
    preparing: ClassVar[tuple[str, ...]] = ()

    name: str | None = None
    kind: str | None = None
    options: Options = Options()
    license: str | None = None
    packages: tuple[str, ...] = ()

    @property
    def likely_kind(self) -> str:  # noqa: D102 - above
        return self.kind or "text"

    @classmethod
    def of_text(cls, text: str) -> Self | None:
        """Return the source that the user's text names; None if it has another form.

        Raises:
            UnusableError: the text has this form, and names nothing that can be staged.
        """
        del text
        return None

    @property
    @abstractmethod
    def label(self) -> str:
        """Return how messages call this source, without secrets."""

    def beside(self, folder: Path) -> Self:
        """Return this source as it is meant in a catalogue of this folder."""
        del folder
        return self

    def cached(self, errand: Errand) -> Fetched | None:
        """Return what an earlier run left in the cache, if it is whole; asks no network."""
        del errand
        return None

    @abstractmethod
    def fetch(self, errand: Errand) -> Fetched:
        """Fetch the model's files into the cache, and return them.

        Raises:
            SourceError: the source does not give them; another one may.
            StagingError: they are not what the digests say, or an archive is refused.
        """

    def next_step(self, error: SourceError) -> str:
        """Return what the user can do where the source does not give the model."""
        status = error.status if isinstance(error, DownloadError) else None
        if status in (401, 403):
            return " Ask its owner for access, or give an archive on this machine as SOURCE."
        if status in (404, 410):
            return " Look it up with a browser: is the address right, and the version?"
        if "--size-limit" in str(error):
            return ""
        return " Check the network and the proxy (HTTPS_PROXY, NO_PROXY), and run this again."


def materialize(
    source: Source,
    folder: Path,
    report: Report,
    limits: Limits,
    sha256: str | None = None,
    *,
    patience: Patience | None = None,
) -> Fetched:
    """Return a model's files: downloaded and unpacked, or as an earlier run left them.

    Args:
        source: what `sources.resolve` returned.
        folder: the cache.
        report: tells the user.
        limits: how much it may take.
        sha256: the digest that the archive or the file must have.
        patience: how often a download is tried.

    Raises:
        StagingError: it cannot be fetched, is not what the digests say, or an archive is refused.
    """
    errand = Errand(folder, report, limits, patience or Patience(), sha256)
    try:
        return source.cached(errand) or source.fetch(errand)
    except SourceError as error:
        raise StagingError(
            f"Could not fetch '{source.label}': {error}.{source.next_step(error)}"
        ) from None


def require_sha256(what: str, found: str, sha256: str | None) -> None:
    """Require a file to have the digest that the user gave, if one was given.

    Raises:
        StagingError: it has a different one.
    """
    if sha256 not in (None, found):
        raise StagingError(
            f"{what} has the SHA-256 {found}, and --sha256 says {sha256}. Compare with what its "
            f"maker publishes; do not use it if that differs."
        )
