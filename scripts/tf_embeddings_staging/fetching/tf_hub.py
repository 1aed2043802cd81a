"""Handles of TF-Hub, through tensorflow_hub's own resolver and into its own cache.

tensorflow_hub knows where a handle's module is kept, and locks it; the download and the unpacking,
which it does without limits, are ours. https://www.tensorflow.org/hub/hosting is the protocol.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit

from tf_embeddings_staging import cache, process
from tf_embeddings_staging.errors import StagingError
from tf_embeddings_staging.fetching import first_use
from tf_embeddings_staging.fetching.archive import find_root
from tf_embeddings_staging.fetching.archive_address import download_archive
from tf_embeddings_staging.fetching.fetch import Errand, Fetched, Source, UnusableError
from tf_embeddings_staging.fetching.kept import digest_of_files
from tf_embeddings_staging.fields import Text
from tf_embeddings_staging.options import Limits
from tf_embeddings_staging.redaction import address, without_user

_HOSTS = ("tfhub.dev", "www.tfhub.dev")
_FORM = "https://tfhub.dev/<publisher>/<model>/<version>"
_FORMAT = ("tf-hub-format", "compressed")
_CACHE = "TFHUB_CACHE_DIR"
_LOCK_TIMEOUT_SECONDS = 10  # without progress; twice that, and a lock counts as left behind


class _NotCachedError(Exception):
    """TF-Hub's cache does not have the module."""


@dataclass(frozen=True)
class TfHub(Source):
    """A handle of TensorFlow Hub, as tensorflow_hub resolves it."""

    key = "tf_hub"
    allowed = (f"a TF-Hub handle ({_FORM})",)
    preparing = allowed

    handle: Text

    @classmethod
    def of_text(cls, text: str) -> Self | None:
        """Return the handle that an address is: one that ends with a version."""
        if "://" not in text:
            return None
        parts = urlsplit(text)
        path = [part for part in parts.path.split("/") if part]
        if len(path) >= 3 and path[-1].isdecimal():
            return cls(_as_tensorflow_hub_knows_it(parts))
        if parts.hostname in _HOSTS:
            raise UnusableError(
                "is a TF-Hub handle without a version.",
                f"Give {_FORM}, with a number at its end: a handle without one may name a "
                f"different model tomorrow.",
            )
        return None

    @property
    def label(self) -> str:
        """Return the handle."""
        return address(self.handle)

    def fetch(self, errand: Errand) -> Fetched:
        """Return the module in TF-Hub's cache, which is put there unless it is."""
        handle, shown = without_user(self.handle), self.label
        with cache.work_folder(errand.folder) as work:
            with errand.report.step(f"Looking for {shown} in TF-Hub's cache"):
                path = cached(handle, work, errand.limits)
            if path is None:
                path = self._download(handle, work, errand)
            elif errand.sha256 not in (None, first_use.pinned(errand.folder, handle)):
                raise StagingError(
                    f"'{shown}' is in TF-Hub's cache already, and not from an archive with the "
                    f"SHA-256 {errand.sha256}. Delete '{path}' to download it again, or leave "
                    f"--sha256 out."
                )
        root = find_root(path, shown)
        # Also what is there from before: another program, or another user, may write there.
        first_use.pin_files(errand.folder, handle, path, digest_of_files(path))
        return Fetched(root, shown, path)

    def _download(self, handle: str, work: Path, errand: Errand) -> Path:
        archive, url = work / "archive", archive_of(self.handle)
        found = download_archive(self.handle, url, archive, errand)
        unpacked = errand.unpack(archive, self.label, work / "unpacked")
        root = find_root(unpacked, self.label)
        if root != unpacked:
            raise StagingError(
                f"the archive of '{self.label}' holds its model in the folder "
                f"'{root.relative_to(unpacked).as_posix()}', where TF-Hub's have it on top. "
                f"Download it, and give the archive as SOURCE."
            )
        files = digest_of_files(unpacked)
        path = keep(handle, unpacked, work, errand.limits)
        first_use.pin(errand.folder, handle, found)
        first_use.pin_files(errand.folder, handle, path, files)
        return path


def _as_tensorflow_hub_knows_it(parts: SplitResult) -> str:
    """Return a handle whose digest is the module's name in tensorflow_hub's cache."""
    query = [(name, value) for name, value in parse_qsl(parts.query) if name != _FORMAT[0]]
    path = parts.path.rstrip("/")
    return parts._replace(path=path, query=urlencode(query), fragment="").geturl()


def archive_of(handle: str) -> str:
    """Return the address of a handle's archive."""
    parts = urlsplit(handle)
    return parts._replace(query=urlencode([*parse_qsl(parts.query), _FORMAT])).geturl()


def cached(handle: str, work: Path, limits: Limits) -> Path | None:
    """Return a handle's module in TF-Hub's cache, if it is there.

    Args:
        handle: the module's address, without user and password.
        work: a folder for the exchange with the worker.
        limits: those of the worker.
    """
    folder = os.environ.get(_CACHE, "")
    if folder and "://" not in folder and not any(Path(folder).glob("*")):
        return None  # where TensorFlow would take seconds to find nothing
    path = _run(handle, None, work, limits)
    return Path(path) if path else None


def keep(handle: str, unpacked: Path, work: Path, limits: Limits) -> Path:
    """Move an unpacked module into TF-Hub's cache; return where it is now.

    What another process put there meanwhile stays.
    """
    return Path(_run(handle, unpacked, work, limits))


def _run(handle: str, unpacked: Path | None, work: Path, limits: Limits) -> str:
    folder = str(unpacked) if unpacked else None
    return process.run("tf_hub", {"handle": handle, "archive_folder": folder}, work, limits)["path"]


def tf_hub_task(request: Mapping[str, Any]) -> dict[str, Any]:
    """Resolve a handle: a task of the worker.

    Args:
        request: `handle`, and `archive_folder`: what the handle's archive unpacked to, or None to
            only look into the cache.

    Returns:
        `path`: the module's folder, or None if the cache does not have it.

    Raises:
        StagingError: the cache is not on this machine, or another user's.
    """
    from tensorflow_hub import compressed_module_resolver, registry, resolver

    unpacked = request["archive_folder"]

    def fill(_: str, folder: str) -> None:
        if unpacked is None:
            raise _NotCachedError
        for path in Path(unpacked).iterdir():
            shutil.move(path, folder)

    class Resolver(compressed_module_resolver.HttpCompressedFileResolver):
        def is_supported(self, handle: str) -> bool:
            return self.is_http_protocol(handle)

        def __call__(self, handle: str) -> str:
            folder = compressed_module_resolver._module_dir(handle)
            # What it is given as the handle, it writes into a file beside the module.
            return resolver.atomic_download(address(handle), fill, folder, _LOCK_TIMEOUT_SECONDS)

    registry.resolver.add_implementation(Resolver())  # the last one is asked first
    if "://" in (resolver.tfhub_cache_dir() or ""):
        raise StagingError(f"{_CACHE} must be a folder on this machine, for TF-Hub's modules.")
    if not os.environ.get(_CACHE):
        _require_private_cache(Path(resolver.tfhub_cache_dir(use_temp=True) or ""))
    try:
        path = Path(registry.resolver(request["handle"]))
    except _NotCachedError:
        return {"path": None}
    if not os.environ.get(_CACHE):
        _require_private(path)
    return {"path": str(path)}


def _require_private_cache(folder: Path) -> None:
    """Make TF-Hub's cache of this user's own; by default, it lies where every user may write."""
    if hasattr(os, "getuid"):
        os.umask(0o077)  # only of this worker
        with suppress(FileExistsError):
            folder.mkdir()
        _require_private(folder)


def _require_private(folder: Path) -> None:
    """Refuse a folder that another user made, leads to or may write to."""
    if not hasattr(os, "getuid"):
        return
    found = folder.lstat()  # of a link itself
    is_plain = stat.S_ISDIR(found.st_mode) and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    if not is_plain or found.st_uid != os.getuid():
        raise StagingError(
            f"'{folder}', in the folder of temporary files, is a link, another user's, or a "
            f"folder that others may write to. Set {_CACHE} to a folder of your own for TF-Hub's "
            f"modules, and run this again."
        )
