"""What is kept between runs: fetched sources and built artifacts.

Everything comes into being by one rename, so whatever exists is whole: a run may be killed at any
time, and two may run at once. What a killed run leaves in `work/` goes with the next run.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from platformdirs import user_cache_path
from tf_embeddings_udf.lock import locked

CHUNK = 1 << 20
_STALE_AFTER_SECONDS = 24 * 60 * 60


def cache_folder() -> Path:
    """Return the folder of the environment variable TF_EMBEDDINGS_CACHE, or the platform's."""
    chosen = os.environ.get("TF_EMBEDDINGS_CACHE")
    return Path(chosen).absolute() if chosen else user_cache_path("tf_embeddings")


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_of(value: Any) -> str:  # noqa: ANN401 - any JSON value
    """Return the SHA-256 of a JSON value, which may hold paths, in its canonical form, in hex."""
    canonical = json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=os.fspath
    )
    return hashlib.sha256(canonical.encode()).hexdigest()


@contextlib.contextmanager
def work_folder(cache: Path) -> Iterator[Path]:
    """Give a private folder on the cache's file system, and remove it afterwards."""
    work = cache / "work"
    work.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as held:
        # A folder is held for as long as its run lives. Under this lock, one without a holder is
        # not one that is about to have it.
        with locked(work / ".lock") as is_alone:
            folders = list(work.glob("stage-*")) if is_alone else []
            # The age of those that are held, and of the lock, says nothing.
            sweep(one for one in work.iterdir() if one.name != ".lock" and one not in folders)
            for leftover in folders:
                with _held(leftover) as is_free:
                    if is_free:
                        shutil.rmtree(leftover, ignore_errors=True)
            folder = Path(tempfile.mkdtemp(prefix="stage-", dir=work))
            held.callback(shutil.rmtree, folder, ignore_errors=True)
            held.enter_context(_held(folder))
        yield folder


@contextlib.contextmanager
def _held(folder: Path) -> Iterator[bool]:
    """Hold a folder, which the kernel ends with the process; False where that cannot be had."""
    try:
        import fcntl
    except ImportError:  # Windows
        yield False
        return
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:  # it is gone
        yield False
        return
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:  # another run holds it, or the file system has no locks
            yield False
        else:
            yield True
    finally:
        os.close(handle)


def sweep(leftovers: Iterator[Path]) -> None:
    """Remove those of these private files and folders that were not touched for a day."""
    oldest = time.time() - _STALE_AFTER_SECONDS
    for leftover in leftovers:
        with contextlib.suppress(OSError):
            if leftover.stat().st_mtime >= oldest:
                continue
            if leftover.is_dir():
                shutil.rmtree(leftover, ignore_errors=True)
            else:
                leftover.unlink()


def move_folder(private: Path, target: Path, is_whole: Callable[[Path], bool]) -> None:
    """Move a finished folder to its name; one that another run put there meanwhile may stay."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.replace(private, target)
    except OSError:
        if is_whole(target):
            return
        os.replace(target, private.with_name(f"{private.name}.damaged"))
        os.replace(private, target)
