"""Unpacking an artifact once for all processes of a machine, and removing it."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import stat
import tempfile
import time
import zipfile
from pathlib import Path

from tf_embeddings_udf.errors import TfEmbeddingsError, stage_command
from tf_embeddings_udf.lock import locked
from tf_embeddings_udf.manifest import (
    GOLDEN,
    MANIFEST,
    UNREADABLE,
    FileEntry,
    Manifest,
    build_of,
    read_manifest,
)

_CHUNK = 1 << 20
_MOST_GOLDEN = 2**26
_STALE_AFTER_SECONDS = 24 * 60 * 60


def unpack(zip_path: Path, cache: Path, *, model: str, build: str) -> Path:
    """Unpack an artifact into `cache`, unless that was done, and return its folder.

    The folder `<model>-<version>-<build>` appears by one rename, after the digest of each file was
    checked, so it is whole whenever it exists. When several processes need it, one unpacks while
    the others wait; if it is killed, it leaves a private folder behind and another process takes
    over. If the folder exists already, only the sizes of its files are checked (a few ms). Files
    that another artifact in `cache` has too are hard links to the same content.

    Raises:
        TfEmbeddingsError: the artifact is missing, cut short, not what its name says, or holds
            what its manifest does not list.
    """
    if not zip_path.is_file():
        raise _missing(zip_path, model)
    manifest = read_manifest(zip_path)
    if manifest.model != model:
        raise _unusable(zip_path, model, f"it holds model '{manifest.model}', not '{model}'")
    folder = cache / f"{model}-{manifest.version}-{build}"
    if _is_whole(folder, manifest):
        return folder
    cache.mkdir(parents=True, exist_ok=True)
    with _lock_of(folder) as is_alone:
        if not _is_whole(folder, manifest):
            _unpack(zip_path, folder, manifest, build, is_alone=is_alone)
    return folder


def remove(zip_path: Path, cache: Path, *, model: str, version: str, build: str) -> None:
    """Remove an artifact and what was unpacked from it; processes that have it loaded keep it.

    No process can unpack it meanwhile; one that waited to then finds no artifact.
    """
    folder = cache / f"{model}-{version}-{build}"
    if not cache.is_dir():
        zip_path.unlink(missing_ok=True)
        return
    with _lock_of(folder) as is_alone:
        # Moved first: a folder with this name must be whole or not exist.
        aside = _private(folder, is_alone=is_alone)
        try:
            with contextlib.suppress(FileNotFoundError):
                os.replace(folder, aside / "removed")
            zip_path.unlink(missing_ok=True)
        finally:
            shutil.rmtree(aside, ignore_errors=True)


def _lock_of(folder: Path) -> contextlib.AbstractContextManager[bool]:
    return locked(folder.with_name(f".{folder.name}.lock"))


def _unpack(
    zip_path: Path, folder: Path, manifest: Manifest, build: str, *, is_alone: bool
) -> None:
    if not zip_path.is_file():  # removed while this waited for the lock
        raise _missing(zip_path, manifest.model)
    if (came := build_of(zip_path)) != build:
        raise _unusable(zip_path, manifest.model, f"its build is {came}, not {build}")
    _sweep(folder.parent)
    private = _private(folder, is_alone=is_alone)
    try:
        _extract(zip_path, private, manifest)
        _move_into_place(private, folder, manifest)
    finally:
        shutil.rmtree(private, ignore_errors=True)


def _private(folder: Path, *, is_alone: bool) -> Path:
    """Make a private folder beside `folder`.

    The holder of the lock removes what killed holders left: /tmp is memory on Snowflake. A folder
    that was made without the lock, on Windows or by an older runtime, has a different name, because
    a process may still be writing to it.
    """
    prefix = f".{folder.name}."
    if is_alone:
        prefix += "locked."
        for leftover in folder.parent.glob(f"{prefix}*.part"):
            shutil.rmtree(leftover, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=prefix, suffix=".part", dir=folder.parent))


def _is_whole(folder: Path, manifest: Manifest) -> bool:
    try:
        sizes_agree = all(
            (folder / name).stat().st_size == entry.bytes for name, entry in manifest.files.items()
        )
    except (FileNotFoundError, NotADirectoryError):
        return False
    return sizes_agree and (folder / MANIFEST).is_file()


def problem_in(archive: zipfile.ZipFile, manifest: Manifest) -> str | None:
    """Return why an open artifact does not hold exactly what its manifest lists; None: it does.

    Only the zip's directory is read: the digests of its files are not computed.
    """
    entries = archive.infolist()
    names = [entry.filename for entry in entries]
    if len(set(names)) < len(names):
        return "it holds the same file twice"
    if wrong := set(names).symmetric_difference({MANIFEST, *manifest.files}) - {GOLDEN}:
        return f"its manifest and its content differ in '{min(wrong)}'"
    if any(stat.S_ISLNK(entry.external_attr >> 16) for entry in entries):
        return "it holds a link"
    if GOLDEN in names and archive.getinfo(GOLDEN).file_size > _MOST_GOLDEN:
        return f"its {GOLDEN} is too large"
    if any(
        entry.compress_type != zipfile.ZIP_STORED or entry.compress_size != entry.file_size
        for entry in entries
    ):
        return "it is compressed"
    return None


def _extract(zip_path: Path, folder: Path, manifest: Manifest) -> None:
    """Write only the files that the manifest lists; `read_manifest` checked their paths."""
    with zipfile.ZipFile(zip_path) as archive:
        if problem := problem_in(archive, manifest):
            raise _unusable(zip_path, manifest.model, problem)
        unpacked = _unpacked_files(folder.parent)
        for name in {GOLDEN, MANIFEST} & set(archive.namelist()):
            (folder / name).write_bytes(_read(archive, name, zip_path, manifest))
        for name, expected in manifest.files.items():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if any(_link(path, target, expected) for path in unpacked.get(expected, ())):
                continue
            if not _copy(archive, name, target, expected):
                raise _unusable(zip_path, manifest.model, f"'{name}' is not as its manifest says")


def _read(archive: zipfile.ZipFile, name: str, zip_path: Path, manifest: Manifest) -> bytes:
    try:
        return archive.read(name)
    except UNREADABLE as error:
        raise _unusable(zip_path, manifest.model, _said(error)) from None


def _said(error: Exception) -> str:
    return str(error) or "it is cut short"


def _unpacked_files(cache: Path) -> dict[FileEntry, list[Path]]:
    """Return the files of the artifacts that are unpacked already, by what they must be."""
    files: dict[FileEntry, list[Path]] = {}
    for path in cache.glob(f"[!.]*-v*-b*/{MANIFEST}"):
        with contextlib.suppress(TfEmbeddingsError, OSError):  # of another format, or removed
            for name, entry in read_manifest(path.parent).files.items():
                files.setdefault(entry, []).append(path.parent / name)
    return files


def _link(path: Path, target: Path, expected: FileEntry) -> bool:
    """Link to the same file of another artifact; False if it differs or cannot be linked.

    One model with two prefixes is two artifacts, whose weights then need disk, or memory on
    Snowflake, only once. The check reads the link, whatever happens to the other artifact.
    """
    try:
        os.link(path, target, follow_symlinks=False)
    except (OSError, NotImplementedError):
        return False
    status = target.lstat()
    # A file of another user could change later.
    is_own = stat.S_ISREG(status.st_mode) and status.st_uid == target.parent.stat().st_uid
    if is_own and status.st_size == expected.bytes and _sha256(target) == expected.sha256:
        return True
    target.unlink()
    return False


def _copy(archive: zipfile.ZipFile, name: str, target: Path, expected: FileEntry) -> bool:
    """Copy one file out of the zip; False, early, where it is not what the manifest says."""
    digest, size = hashlib.sha256(), 0
    try:
        with archive.open(name) as source, target.open("wb") as copy:
            while chunk := source.read(_CHUNK):
                size += len(chunk)
                if size > expected.bytes:
                    return False
                digest.update(chunk)
                copy.write(chunk)
    except UNREADABLE:
        return False
    return size == expected.bytes and digest.hexdigest() == expected.sha256


def _move_into_place(private: Path, folder: Path, manifest: Manifest) -> None:
    private.chmod(0o755)  # mkdtemp's 0700 would shut out the other users of a shared cache
    try:
        os.replace(private, folder)
    except OSError:
        if _is_whole(folder, manifest):  # another process was first
            return
        # Files were removed from it. Processes that have them open keep them.
        aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".part", dir=folder.parent))
        with contextlib.suppress(OSError):
            os.replace(folder, aside / "damaged")
        try:
            os.replace(private, folder)
        except OSError:
            if not _is_whole(folder, manifest):
                raise
        finally:
            shutil.rmtree(aside, ignore_errors=True)


def _sweep(cache: Path) -> None:
    """Remove what killed processes left behind more than a day ago."""
    oldest = time.time() - _STALE_AFTER_SECONDS
    for leftover in cache.glob(".*.part"):
        with contextlib.suppress(OSError):
            if leftover.stat().st_mtime < oldest:
                shutil.rmtree(leftover, ignore_errors=True)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _missing(zip_path: Path, model: str) -> TfEmbeddingsError:
    return TfEmbeddingsError(
        f"tf_embeddings: the artifact '{zip_path}' does not exist. "
        f"Stage it with: {stage_command(model)}"
    )


def _unusable(zip_path: Path, model: str, what: str) -> TfEmbeddingsError:
    error = TfEmbeddingsError(
        f"tf_embeddings: the artifact '{zip_path}' cannot be used: {what}. Delete it and stage "
        f"the model again with: {stage_command(model)}"
    )
    error.what = what
    return error
