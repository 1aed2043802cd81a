"""Models of the Hugging Face hub, through huggingface_hub: its cache, its tokens, its resume.

https://huggingface.co/docs/huggingface_hub/guides/download
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self, cast
from urllib.parse import urlsplit

from pydantic import Field

from tf_embeddings_staging import cache
from tf_embeddings_staging.errors import SourceError, StagingError
from tf_embeddings_staging.fetching import first_use
from tf_embeddings_staging.fetching.archive import is_archive_name
from tf_embeddings_staging.fetching.download import is_loopback, is_plain
from tf_embeddings_staging.fetching.fetch import Errand, Fetched, Source, UnusableError
from tf_embeddings_staging.fetching.kept import is_as_listed
from tf_embeddings_staging.fields import InnerPath, Text
from tf_embeddings_staging.progress import Bar
from tf_embeddings_staging.redaction import without_secrets

if TYPE_CHECKING:
    from huggingface_hub.hf_api import RepoSibling

_SHORT = "hf:"
_HOSTS = ("huggingface.co", "www.huggingface.co", "hf.co")
_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}"
_ID = re.compile(rf"(?P<id>{_NAME}/{_NAME})(?:@(?P<revision>[A-Za-z0-9][A-Za-z0-9._/-]*))?")
_PAGE = re.compile(rf"/(?P<id>{_NAME}/{_NAME})(?:/tree/(?P<revision>[A-Za-z0-9][^?#]*?))?/?")
_COMMIT = re.compile("[0-9a-f]{40}")
# The files of an encoder's folder, and of the folders of its modules: data, and never code.
_NEEDED = re.compile(r"([0-9]+_[A-Za-z]+/)?([^/]+\.json|model(-\d{5}-of-\d{5})?\.safetensors)")
_WEIGHTS = "model.safetensors"
_WEIGHTS_OF_ENCODER = re.compile(r"(0_[A-Za-z]+/)?model(-\d{5}-of-\d{5})?\.safetensors")
# Without a network, the next source is tried soon; a slow answer is waited for.
_SECONDS, _SECONDS_TO_CONNECT = 15, 3


@dataclass(frozen=True)
class HuggingFace(Source):
    """A model of the Hugging Face hub.

    Attributes:
        repository: owner and name.
        files: which of its files are needed; none: those of an encoder's folder.
        revision: a commit, a branch or a tag. What a branch or a tag means is kept at first use.
    """

    key = "hugging_face"
    allowed = (
        "a Hugging Face id (<owner>/<model> or <owner>/<model>@<revision>, with hf: before it "
        "where a folder has the same name)",
    )

    repository: Text
    files: Annotated[
        tuple[InnerPath, ...], Field(min_length=1, description="a list of paths in the repository")
    ] = ()
    revision: Text = "main"

    @classmethod
    def of_text(cls, text: str) -> Self | None:
        """Return the model that an id names, or the address of its page."""
        if text.startswith(_SHORT):
            match = _ID.fullmatch(text.removeprefix(_SHORT))
            if not match:
                raise UnusableError(
                    "is not a Hugging Face id.", "It must be hf:<owner>/<model>[@<revision>]."
                )
        elif "://" in text:
            parts = urlsplit(text)
            match = _PAGE.fullmatch(parts.path) if parts.hostname in _HOSTS else None
        else:
            path = Path(text).expanduser()
            is_path = path.exists() or path.parent.is_dir()
            looks_like_file = is_archive_name(text) or path.suffix in (".keras", ".h5", ".hdf5")
            match = None if is_path or looks_like_file else _ID.fullmatch(text)
        return cls(match["id"], (), match["revision"] or "main") if match else None

    @property
    def label(self) -> str:
        """Return its id, in the form that SOURCE takes."""
        return f"{_SHORT}{self.repository}@{self.revision}"

    @property
    def likely_kind(self) -> str:
        """Return `tokens`: only encoders' folders are fetched."""
        return "tokens"

    def cached(self, errand: Errand) -> Fetched | None:
        """Return what was downloaded before; asks the hub nothing."""
        self._require_no_digest(errand)
        commit = self._commit(errand)
        place = self._place(commit, errand) if commit else None
        return self._fetched(place, commit) if place and is_as_listed(place) else None

    def fetch(self, errand: Errand) -> Fetched:
        """Return the folder of the encoder, at one commit."""
        self._require_no_digest(errand)
        with errand.report.step(f"Asking the Hugging Face hub for {self.repository}"):
            kept = first_use.pinned_commit(errand.folder, self.label)
            try:
                commit, listed = self._listed(kept or self.revision)
            except _NoRevisionError:
                if kept:
                    raise SourceError(
                        f"it no longer has the commit {kept}, which '{self.revision}' was when it "
                        f"was first used. To take today's, delete "
                        f"'{first_use.file_of(errand.folder, self.label)}' and run this again"
                    ) from None
                raise
        files = self._needed(listed)
        size = sum(file.size or 0 for file in files.values())
        most = errand.limits.download_bytes
        if size > most:
            raise SourceError(
                f"its files have {size:,} bytes, and the limit is {most:,}. Raise the limit with "
                f"--size-limit GIB"
            )
        at_commit = f"{_SHORT}{self.repository}@{commit}"
        place = self._place(commit, errand)
        with cache.work_folder(errand.folder) as work:
            model = work / "model"
            label = f"Fetching {at_commit}"
            with errand.report.bar(label) as bar:
                bar.expect(size)
                for name, file in files.items():
                    self._download(name, file, commit, model / name, bar)
            digests = {name: cache.sha256_of(model / name) for name in files}
            for name, digest in digests.items():
                first_use.require_same(errand.folder, f"{at_commit}/{name}", digest)
            errand.keep(model, place)
        for name, digest in digests.items():
            first_use.pin(errand.folder, f"{at_commit}/{name}", digest)
        first_use.pin_commit(errand.folder, self.label, commit)
        return self._fetched(place, commit)

    def next_step(self, error: SourceError) -> str:
        """Return nothing: the errors here end with it."""
        del error
        return ""

    def _require_no_digest(self, errand: Errand) -> None:
        if errand.sha256:
            raise StagingError(
                f"--sha256 is the digest of a file, and '{self.label}' is a folder of files. "
                f"Leave --sha256 out, and give a commit: {_SHORT}{self.repository}@<commit>."
            )

    def _commit(self, errand: Errand) -> str | None:
        """Return the commit that the revision is, or was when it was first used."""
        if _COMMIT.fullmatch(self.revision):
            return self.revision
        return first_use.pinned_commit(errand.folder, self.label)

    def _place(self, commit: str, errand: Errand) -> Path:
        digest = cache.digest_of([commit, self.files]) if self.files else commit
        return errand.place(self.repository, digest)

    def _fetched(self, place: Path, commit: str | None) -> Fetched:
        return Fetched(place, f"{_SHORT}{self.repository}@{commit}", place)

    def _listed(self, revision: str) -> tuple[str, Mapping[str, RepoSibling]]:
        """Return the commit of a revision, and its files with their sizes and digests."""
        import httpx2
        from huggingface_hub import HfApi

        with _errors_in_short(revision):
            api = HfApi(endpoint=_endpoint(), token=_token())
            found = api.model_info(
                self.repository,
                revision=revision,
                files_metadata=True,
                timeout=cast("Any", httpx2.Timeout(_SECONDS, connect=_SECONDS_TO_CONNECT)),
            )
        files = {file.rfilename: file for file in found.siblings or ()}
        if not found.sha or not _COMMIT.fullmatch(found.sha):
            raise SourceError("the hub names no commit. Check HF_ENDPOINT, and run this again")
        return found.sha, files

    def _needed(self, listed: Mapping[str, RepoSibling]) -> dict[str, RepoSibling]:
        for name in self.files:
            if name not in listed:
                raise SourceError(f"it has no '{name}'")
        names = self.files or [name for name in listed if _NEEDED.fullmatch(name)]
        if not self.files and not any(map(_WEIGHTS_OF_ENCODER.fullmatch, names)):
            raise SourceError(
                f"it has no {_WEIGHTS}; weights in other formats are not downloaded. Choose a "
                f"revision that has one, or convert the model and give its folder as SOURCE"
            )
        return {name: listed[name] for name in names}

    def _download(self, name: str, file: RepoSibling, commit: str, target: Path, bar: Bar) -> None:
        """Copy a file out of huggingface_hub's cache, where it is downloaded unless it is there."""
        from huggingface_hub import constants, hf_hub_download
        from huggingface_hub.utils import logging

        logging.set_verbosity_error()  # its warnings show addresses
        with _errors_in_short(commit):
            cached = hf_hub_download(
                self.repository,
                name,
                revision=commit,
                endpoint=_endpoint(),
                token=_token(),
                tqdm_class=_drawn_by(bar),
            )
        if (size := Path(cached).stat().st_size) > (file.size or 0):
            raise SourceError(
                f"'{name}' has {size:,} bytes, and the hub lists {file.size or 0:,}. Run this again"
            )
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(cached, target)
        if not _is_as_listed_by_hub(target, file):
            # Or it is taken the next time too. The cache has links to its files.
            content = Path(cached).resolve()
            if content.is_relative_to(Path(constants.HF_HUB_CACHE).resolve()):
                content.unlink()
            Path(cached).unlink(missing_ok=True)
            raise SourceError(
                f"'{name}' does not have the digest that the hub lists for it. Run this again"
            )


def _is_as_listed_by_hub(path: Path, file: RepoSibling) -> bool:
    """Tell whether a file has the digest of its commit: SHA-256, or git's own of a small file."""
    if file.lfs is not None:
        return cache.sha256_of(path) == file.lfs.sha256
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0%b" % (len(content), content)).hexdigest() == file.blob_id


def _drawn_by(bar: Bar) -> type:
    from tqdm import tqdm

    class Advancing(tqdm):
        """Shows nothing itself."""

        def __init__(self, *arguments: Any, **given: Any) -> None:  # noqa: ANN401 - as tqdm's
            super().__init__(*arguments, **{**given, "disable": True})

        def update(self, n: float | None = 1) -> None:
            bar.advance(int(n or 0))

    return Advancing


def _endpoint() -> str | None:
    return (os.environ.get("HF_ENDPOINT") or "").rstrip("/") or None


def _token() -> bool | None:
    """Return False where a token would be sent for everyone on the way to read."""
    endpoint = _endpoint() or "https:"
    return False if is_plain(endpoint) and not is_loopback(endpoint) else None


class _NoRevisionError(SourceError):
    """The hub does not have a revision."""


@contextmanager
def _errors_in_short(revision: str) -> Iterator[None]:
    """Turn the errors of huggingface_hub into one sentence and the next step."""
    import httpx2
    from huggingface_hub import errors

    sign_in = "run `hf auth login`, or set HF_TOKEN"
    try:
        yield
    except errors.GatedRepoError:
        raise SourceError(
            f"its owner asks for a sign-in. Accept the terms on its page, then {sign_in}"
        ) from None
    except errors.RevisionNotFoundError:
        raise _NoRevisionError(
            f"it has no revision '{revision}'. Its page lists its branches and commits"
        ) from None
    except errors.RepositoryNotFoundError:
        raise SourceError(
            f"the hub has no such model, or it is private. Check the id; for a private one, "
            f"{sign_in}"
        ) from None
    except errors.OfflineModeIsEnabled:
        raise SourceError("HF_HUB_OFFLINE is set. Unset it, and run this again") from None
    except (TypeError, KeyError):
        raise SourceError(
            "the answer is not the hub's. Check HF_ENDPOINT and the proxy, and run this again"
        ) from None
    except (
        errors.HfHubHTTPError,
        httpx2.HTTPError,
        httpx2.InvalidURL,
        OSError,
        ValueError,
    ) as error:
        if isinstance(error, OSError) and error.filename:  # of this machine: no room, for example
            raise SourceError(
                f"huggingface_hub's cache cannot be written: {error.strerror}. Set HF_HOME to a "
                f"folder of your own, and run this again"
            ) from None
        raise SourceError(
            f"{_in_short(error)}. Check the network, the proxy and HF_ENDPOINT, and run this again"
        ) from None


def _in_short(error: BaseException) -> str:
    """Return what the hub answered, or the first cause of an error."""
    while True:
        response = getattr(error, "response", None)
        if response is not None:
            return f"the hub says '{response.status_code} {response.reason_phrase}'"
        if error.__cause__ is None:
            break
        error = error.__cause__
    said = str(error).strip().partition("\n")[0] or type(error).__name__
    return without_secrets(said.rstrip("."))[:300]
