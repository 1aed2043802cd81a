"""A lock between processes and threads, which the kernel releases when its holder dies."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def locked(path: Path) -> Iterator[bool]:
    """Hold the lock file `path`; yields False where that is not possible.

    There are no such locks on Windows and on some network file systems, and the lock file of
    another user may not be readable. The file is removed at the end; a killed process leaves it,
    and the next holder takes it over.
    """
    handle = _acquire(path)
    try:
        yield handle is not None
    finally:
        if handle is not None:
            _release(path, handle)


def _acquire(path: Path) -> int | None:
    try:
        import fcntl
    except ImportError:  # Windows
        return None
    while True:
        handle = -1
        try:
            # Each caller opens it again: flock works between open files, so between threads too.
            handle = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
            fcntl.flock(handle, fcntl.LOCK_EX)
        except OSError:
            if handle >= 0:
                os.close(handle)
            return None
        except BaseException:  # interrupted while it waited
            if handle >= 0:
                os.close(handle)
            raise
        if _is_still(path, handle):
            return handle
        os.close(handle)  # the previous holder deleted this file, so the lock no longer protects


def _is_still(path: Path, handle: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(handle))
    except FileNotFoundError:
        return False


def _release(path: Path, handle: int) -> None:
    import fcntl

    # Before it is unlocked: the next holder must see that it is gone.
    with contextlib.suppress(OSError):
        path.unlink()
    # Closing is not enough where a forked child has the same open file.
    with contextlib.suppress(OSError):
        fcntl.flock(handle, fcntl.LOCK_UN)
    os.close(handle)
