"""TF-Hub handles, through tensorflow_hub's own resolver and into its own cache.

tensorflow_hub knows where a handle's module is kept, and locks it; the download and the unpacking,
which it does without limits, are ours. https://www.tensorflow.org/hub/hosting is the protocol.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from tf_embeddings_staging import process
from tf_embeddings_staging.errors import StagingError
from tf_embeddings_staging.options import Limits
from tf_embeddings_staging.redaction import address

_FORMAT = ("tf-hub-format", "compressed")
_CACHE = "TFHUB_CACHE_DIR"
_LOCK_TIMEOUT_SECONDS = 10  # without progress; twice that, and a lock counts as left behind


class _NotCachedError(Exception):
    """TF-Hub's cache does not have the module."""


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
            look into the cache alone.

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
        os.umask(0o077)  # of this worker alone
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
