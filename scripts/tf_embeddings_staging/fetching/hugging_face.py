"""Downloading the files of a model from the Hugging Face hub.

https://huggingface.co/docs/hub/models-downloading
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from tf_embeddings_staging import cache
from tf_embeddings_staging.catalogue import HuggingFace
from tf_embeddings_staging.errors import SourceError
from tf_embeddings_staging.fetching import first_use
from tf_embeddings_staging.fetching.download import DownloadError, Patience, Wanted, download
from tf_embeddings_staging.fetching.kept import require_digest
from tf_embeddings_staging.progress import Report
from tf_embeddings_staging.redaction import address

_HUB = "https://huggingface.co"


def from_hugging_face(
    source: HuggingFace,
    digests: Mapping[str, str],
    target: Path,
    folder: Path,
    report: Report,
    most_bytes: int,
    patience: Patience,
) -> dict[str, str]:
    """Download the files of a repository.

    Args:
        source: the repository, and which of its files.
        digests: their SHA-256, as far as they are known; if none is, each must be as it was at
            first use.
        target: the folder to make.
        folder: the cache.
        report: tells the user.
        most_bytes: how large a file may be.
        patience: how often it is tried.

    Returns:
        The SHA-256 to pin, by address, once the folder is known to be a model's.

    Raises:
        SourceError: a file did not come, or cannot be read, or is another than the digests say.
        StagingError: a file is another than the one that came at first.
    """
    to_pin: dict[str, str] = {}
    for name in source.files:
        path = target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        url = f"{_hub()}/{source.repository}/resolve/{source.revision}/{name}"
        label = f"Fetching {name} from {address(_hub())}"
        try:
            download(Wanted(url, label, most_bytes), path, folder, report, patience)
        except DownloadError as error:
            raise SourceError(f"'{name}' did not come ({error})") from None
        if name in digests:
            require_digest(path, digests[name])
        elif not digests:
            to_pin[url] = cache.sha256_of(path)
            first_use.require_same(folder, url, to_pin[url])
            _require_readable(path)
    return to_pin


def _require_readable(path: Path) -> None:
    """Refuse what is no file of its format: a page to sign in, for example."""
    from safetensors import SafetensorError, safe_open

    try:
        if path.suffix == ".json":
            json.loads(path.read_bytes())
        elif path.suffix == ".safetensors":
            with safe_open(str(path), "np"):
                pass
    except (ValueError, RecursionError, SafetensorError) as error:
        raise SourceError(f"'{path.name}' came, and cannot be read ({error})") from None


def hub_of(source: HuggingFace) -> str:
    """Return where a repository is, as messages call it."""
    return f"Hugging Face hub {address(_hub())}/{source.repository}"


def _hub() -> str:
    return (os.environ.get("HF_ENDPOINT") or _HUB).rstrip("/")
