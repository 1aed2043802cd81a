"""What was downloaded first is what counts later: digests and commits that are kept from first use.

Each handle, address or id has a file of its own in the cache's folder `pins/`.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

from tf_embeddings_udf.lock import locked

from tf_embeddings_staging.errors import StagingError
from tf_embeddings_staging.redaction import address

# Of an archive or a file; of all files of a module; of a branch of the Hugging Face hub.
_FIELDS = {"sha256": r"[0-9a-f]{64}", "files": r"[0-9a-f]{64}", "commit": r"[0-9a-f]{40}"}


def pinned(cache: Path, source: str) -> str | None:
    """Return the SHA-256 of what a handle or an address gave first, if it was downloaded before.

    Raises:
        StagingError: the file that says so is damaged.
    """
    return _read(file_of(cache, source)).get("sha256")


def require_same(cache: Path, source: str, sha256: str) -> None:
    """Require a handle or an address to have given what it gave first, if it did before.

    Raises:
        StagingError: it gave something else.
    """
    before = pinned(cache, source)
    if before not in (None, sha256):
        raise StagingError(
            f"'{address(source)}' has the SHA-256 {sha256}, and had {before} when it was "
            f"downloaded first. Ask its maker whether it was changed; if so, delete "
            f"'{file_of(cache, source)}' and run this again."
        )


def pin(cache: Path, source: str, sha256: str) -> None:
    """Keep the digest of what a handle or an address gave, once it was found to be a model.

    Raises:
        StagingError: it gave something else before.
    """
    _keep(cache, source, "sha256", sha256)
    require_same(cache, source, sha256)


def pin_files(cache: Path, handle: str, folder: Path, files: str) -> None:
    """Keep the digest of a module's files in TF-Hub's cache, or compare it with the one kept.

    Raises:
        StagingError: they differ from those of the module's first use.
    """
    before = _keep(cache, handle, "files", files)
    if before != files:
        raise StagingError(
            f"the files of '{address(handle)}' in TF-Hub's cache, '{folder}', are not those of "
            f"its first use (digest {files}, then {before}). Delete that folder to download it "
            f"again; or, if you changed them yourself, delete '{file_of(cache, handle)}'."
        )


def pinned_commit(cache: Path, source: str) -> str | None:
    """Return the commit that a branch or a tag was when it was first used.

    Raises:
        StagingError: the file that says so is damaged.
    """
    return _read(file_of(cache, source)).get("commit")


def pin_commit(cache: Path, source: str, commit: str) -> None:
    """Keep the commit that a branch or a tag is, unless one is kept."""
    _keep(cache, source, "commit", commit)


def _keep(cache: Path, source: str, field: str, digest: str) -> str:
    """Write a digest unless there is one, and return the one that is kept: the first process's."""
    file = file_of(cache, source)
    file.parent.mkdir(parents=True, exist_ok=True)
    with locked(file.with_suffix(".lock")):
        fields = _read(file)
        if field not in fields:
            fields |= {"source": address(source), field: digest}
            _write(file, fields)
    return fields[field]


def _read(file: Path) -> dict[str, str]:
    try:
        fields = json.loads(file.read_bytes())
    except FileNotFoundError:
        return {}
    except (ValueError, RecursionError):
        fields = None
    if isinstance(fields, dict):
        kept = {name: fields[name] for name in _FIELDS if name in fields}
        if kept and all(re.fullmatch(_FIELDS[name], str(kept[name])) for name in kept):
            return fields
    raise StagingError(f"'{file}' is damaged. Delete it, and run this again.")


def file_of(cache: Path, source: str) -> Path:
    """Return the file that keeps what a handle, an address or an id gave first."""
    source = _in_one_spelling(source)
    slug = re.sub(r"[^a-z0-9]+", "-", address(source).rpartition("://")[2].lower()).strip("-")
    return cache / "pins" / f"{slug[:80]}-{hashlib.sha256(source.encode()).hexdigest()[:12]}.json"


def _in_one_spelling(source: str) -> str:
    """Return the one spelling of an address that is kept; RFC 3986, 6.2."""
    parts = urlsplit(source)
    host = parts.netloc.lower().removesuffix({"http": ":80", "https": ":443"}.get(parts.scheme, ""))
    return parts._replace(netloc=host, fragment="").geturl()


def _write(file: Path, value: dict[str, str]) -> None:
    """Write a file whole: who reads it has the old one or the new one."""
    handle, name = tempfile.mkstemp(dir=file.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as private:
            json.dump(value, private, indent=1)
        os.replace(name, file)
    finally:
        Path(name).unlink(missing_ok=True)
