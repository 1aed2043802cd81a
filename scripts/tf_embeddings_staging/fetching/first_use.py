"""What was downloaded once is what is taken ever after: digests that are kept from first use.

Each handle or address has a file of its own in the cache's folder `pins/`.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from pathlib import Path

from tf_embeddings_staging.errors import StagingError
from tf_embeddings_staging.redaction import address

_DIGEST = re.compile(r"[0-9a-f]{64}")


def pinned(cache: Path, source: str) -> str | None:
    """Return the SHA-256 of what a handle or an address gave first, if it was downloaded before.

    Raises:
        StagingError: the file that says so is damaged.
    """
    file = _file(cache, source)
    try:
        digest = json.loads(file.read_bytes())["sha256"]
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        digest = ""
    if not (isinstance(digest, str) and _DIGEST.fullmatch(digest)):
        raise StagingError(f"'{file}' holds no SHA-256. Delete it, and run this again.")
    return digest


def pin(cache: Path, source: str, sha256: str) -> None:
    """Keep the digest of what a handle or an address gave, or compare it with the one kept.

    Raises:
        StagingError: it gave something else before.
    """
    before = pinned(cache, source)
    file = _file(cache, source)
    if before is None:
        _write(file, {"source": address(source), "sha256": sha256})
    elif before != sha256:
        raise StagingError(
            f"'{address(source)}' has the SHA-256 {sha256}, and had {before} when it was "
            f"downloaded first. Ask its maker whether it was changed; if so, delete '{file}' and "
            f"run this again."
        )


def _file(cache: Path, source: str) -> Path:
    slug = re.sub(r"[^a-z0-9]+", "-", address(source).partition("://")[2].lower()).strip("-")
    return cache / "pins" / f"{slug[:80]}-{hashlib.sha256(source.encode()).hexdigest()[:12]}.json"


def _write(file: Path, value: dict[str, str]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=file.parent)
    with os.fdopen(handle, "w", encoding="utf-8") as private:
        json.dump(value, private, indent=1)
    os.replace(name, file)
