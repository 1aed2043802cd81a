"""Archives behind a plain address."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from tf_embeddings_staging import cache
from tf_embeddings_staging.errors import StagingError
from tf_embeddings_staging.fetching import first_use
from tf_embeddings_staging.fetching.archive import find_root, is_archive_name
from tf_embeddings_staging.fetching.download import Wanted, download, is_loopback, is_plain
from tf_embeddings_staging.fetching.fetch import Errand, Fetched, Source, require_sha256
from tf_embeddings_staging.fetching.kept import is_as_listed
from tf_embeddings_staging.fields import Sha256, Text
from tf_embeddings_staging.redaction import address, without_user


@dataclass(frozen=True)
class Archive(Source):
    """The address of an archive, and its SHA-256; without one, the first download is pinned."""

    key = "archive"
    allowed = ("the address of a .tar.gz, .tgz, .tar or .zip",)
    preparing = allowed

    url: Text
    sha256: Sha256 | None = None

    @classmethod
    def of_text(cls, text: str) -> Self | None:
        """Return the archive whose address the text is."""
        return cls(text) if "://" in text and is_archive_name(urlsplit(text).path) else None

    @property
    def label(self) -> str:
        """Return its address."""
        return address(self.url)

    def cached(self, errand: Errand) -> Fetched | None:
        """Return what was downloaded and unpacked before."""
        return kept_archive(self.url, self._with_digest(errand))

    def fetch(self, errand: Errand) -> Fetched:
        """Download and unpack the archive."""
        return fetch_archive(self.url, self.url, self._with_digest(errand))

    def _with_digest(self, errand: Errand) -> Errand:
        return replace(errand, sha256=errand.sha256 or self.sha256)


def kept_archive(source: str, errand: Errand) -> Fetched | None:
    """Return the model of an archive that was downloaded before, if it is still whole."""
    before = first_use.pinned(errand.folder, without_user(source))
    if before is None or errand.sha256 not in (None, before):
        return None
    place = errand.place(source, before)
    if not is_as_listed(place):
        return None
    return Fetched(find_root(place, address(source)), address(source), place)


def fetch_archive(
    source: str, url: str, errand: Errand, authorization: str | None = None
) -> Fetched:
    """Download an archive, and return its model.

    Args:
        source: what is pinned: the address of the archive, or the page of a model.
        url: the address of the archive.
        errand: the cache, the limits, and who is told.
        authorization: the header of this name, for the address's own host.
    """
    with cache.work_folder(errand.folder) as work:
        archive = work / "archive"
        found = download_archive(source, url, archive, errand, authorization)
        place = errand.place(source, found)
        root = errand.keep_archive(archive, address(source), place, work)
    first_use.pin(errand.folder, without_user(source), found)
    return Fetched(root, address(source), place)


def download_archive(
    source: str, url: str, target: Path, errand: Errand, authorization: str | None = None
) -> str:
    """Download an archive; return its SHA-256, which is what the user and the first use say.

    It is not pinned yet: the server may have answered with a page to sign in.
    """
    source, shown = without_user(source), address(source)
    is_known = errand.sha256 or first_use.pinned(errand.folder, source)
    if is_plain(url) and not is_loopback(url) and not is_known:
        raise StagingError(
            f"SOURCE '{shown}' is plain http, where anyone on the way can change the file. Use "
            f"https, or give the file's digest with --sha256 HEX."
        )
    wanted = Wanted(url, f"Fetching {shown}", errand.limits.download_bytes, authorization)
    download(wanted, target, errand.folder, errand.report, errand.patience)
    found = cache.sha256_of(target)
    require_sha256(f"the archive of '{shown}'", found, errand.sha256)
    first_use.require_same(errand.folder, source, found)
    return found
