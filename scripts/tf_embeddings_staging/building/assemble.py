"""Packing a model: its files, the runtime, golden vectors and the manifest, in one zip."""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import shutil
import stat
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import tf_embeddings_udf
from tf_embeddings_udf import CONTRACT, FORMAT
from tf_embeddings_udf.engines import LITERT
from tf_embeddings_udf.manifest import GOLDEN, MANIFEST

from tf_embeddings_staging import cache
from tf_embeddings_staging.building.model import Model
from tf_embeddings_staging.conversion.litert import litert_parameters
from tf_embeddings_staging.errors import StagingError, missing_package

RUNTIME = "tf_embeddings_udf"

# zipimport reads no ZIP64 before Python 3.13. https://docs.python.org/3/library/zipimport.html
_MOST_BYTES, _MOST_FILES = 2**32 - 2**20, 2**16 - 1
# What a zip has beside the bytes of a file: two headers, and its name in both.
_HEADERS = 30 + 46
# What golden.json may hold beside vectors and counts, which differs from machine to machine.
_ROOM = 8192
_EPOCH = (1980, 1, 1, 0, 0, 0)
_MODE = (stat.S_IFREG | 0o644) << 16


def runtime_folder() -> Path:
    """Return the folder of the runtime, beside the scripts' own."""
    return Path(tf_embeddings_udf.__file__ or "").parent


def python_files(folder: Path) -> dict[str, Path]:
    """Return the Python files under a folder, by their path in it."""
    return {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*.py"))}


def is_installed(package: str) -> bool:
    """Tell whether a Python package is installed."""
    try:
        importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def installed_version(package: str) -> str:
    """Return the version of an installed Python package.

    Raises:
        StagingError: it is not installed.
    """
    if not is_installed(package):
        raise missing_package(package)
    return importlib.metadata.version(package)


def add_runtime(folder: Path) -> None:
    """Copy the runtime into the folder that an artifact will unpack to."""
    for relative, path in python_files(runtime_folder()).items():
        copy = folder / RUNTIME / relative
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)


def write_manifest(
    model: Model, name: str, folder: Path, engine: str, *, row_by_row: bool = False
) -> None:
    """Write the manifest of all that is in a folder: what decides what an artifact does."""
    is_converted = engine == LITERT
    manifest = {
        "format": FORMAT,
        "contract": CONTRACT,
        "model": name,
        "version": model.version(),
        "meaning": model.meaning(),
        "dimensions": model.dimensions,
        "model_dimensions": model.dimensions if is_converted else model.model_dimensions,
        "kind": model.kind,
        "engine": engine,
        "encoder": litert_parameters(model.encoder) if is_converted else model.encoder,
        "normalize": model.normalize,
        "max_tokens": model.max_tokens,
        "prefix": model.prefix,
        "packages": model.packages(engine),
        "files": {
            relative: {"sha256": cache.sha256_of(path), "bytes": path.stat().st_size}
            for relative, path in _files(folder).items()
            if relative not in (MANIFEST, GOLDEN)
        },
    }
    if row_by_row:
        manifest["row_by_row"] = True
    write_json(folder / MANIFEST, manifest, indent=1)


def write_golden(folder: Path, golden: Mapping[str, Any], measured: Mapping[str, Any]) -> None:
    """Write golden.json, in a size that does not depend on what was measured.

    On a stage a file is known to be whole by its size, whichever colleague put it there.

    Args:
        folder: the artifact's.
        golden: texts, vectors and token counts, whose size the model alone decides.
        measured: what differs from machine to machine.
    """
    size = len(_json(golden)) + _ROOM
    # An address of thousands of characters, or the digests of a hundred files: left out.
    drafts = (
        _json({**golden, **measured, **dict.fromkeys(left_out)})
        for left_out in ((), ("source",), ("source", "license"))
    )
    text = next(draft for draft in drafts if len(draft) <= size)
    (folder / GOLDEN).write_bytes(text.ljust(size))


def write_json(path: Path, value: object, *, indent: int | None = None) -> None:
    """Write a JSON value whose bytes depend on nothing but it."""
    path.write_bytes(_json(value, indent))


def _json(value: object, indent: int | None = None) -> bytes:
    text = json.dumps(value, sort_keys=True, indent=indent, ensure_ascii=False)
    return f"{text}\n".encode()


def require_size(folder: Path) -> None:
    """Require that what is in a folder fits into a zip that Python imports from.

    Raises:
        StagingError: it does not.
    """
    files = _files(folder)
    total = sum(
        path.stat().st_size + _HEADERS + 2 * len(name.encode()) for name, path in files.items()
    )
    # manifest.json and golden.json may come yet.
    if total > _MOST_BYTES or len(files) > _MOST_FILES - 2:
        raise StagingError(
            f"the artifact would have {total / 2**30:.1f} GiB and {len(files):,} files; Python "
            f"imports from a zip of less than 4 GiB and 65,536 files. Choose a smaller model."
        )


def write_zip(folder: Path, target: Path) -> None:
    """Write a zip of a folder whose bytes depend on nothing but its files' names and bytes."""
    files = _files(folder)
    with _without_zip64(), zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.create_system = 3  # Unix, wherever this runs
            entry.external_attr = _MODE
            entry.file_size = files[name].stat().st_size
            with files[name].open("rb") as original, archive.open(entry, "w") as copy:
                shutil.copyfileobj(original, copy, cache.CHUNK)


@contextlib.contextmanager
def _without_zip64() -> Iterator[None]:
    """Have zipfile write what fits into 32 bits there: from 2 GiB on, it writes ZIP64 records.

    https://github.com/python/cpython/blob/3.11/Lib/zipfile.py (ZIP64_LIMIT)
    """
    limit = zipfile.ZIP64_LIMIT
    zipfile.ZIP64_LIMIT = 2 * limit + 1
    try:
        yield
    finally:
        zipfile.ZIP64_LIMIT = limit


def _files(folder: Path) -> dict[str, Path]:
    """Return the files of an artifact's folder, by their path in it; no Python has run there."""
    return {
        path.relative_to(folder).as_posix(): path
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
