"""How much memory there is: the machine's, or the limit of a container."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import psutil

_MEMBERSHIP = Path("/proc/self/cgroup")
_CGROUPS = Path("/sys/fs/cgroup")


def machine_memory() -> int:
    """Return the memory that processes may take, in bytes: where cgroups limit it, their limit."""
    limits = [psutil.virtual_memory().total]
    with contextlib.suppress(OSError):
        for file in limit_files(_MEMBERSHIP.read_text(encoding="utf-8"), _CGROUPS):
            with contextlib.suppress(OSError):
                limits.append(limit_in(file.read_text(encoding="utf-8")) or limits[0])
    return min(limits)


def limit_files(membership: str, cgroups: Path) -> Iterator[Path]:
    """Yield the files that may hold a limit: of a process's cgroup, and of those around it.

    In a container the path may be the host's, and only the topmost of these files exist.

    Args:
        membership: the text of /proc/self/cgroup, lines of `number:controllers:path`; see
            https://docs.kernel.org/admin-guide/cgroup-v2.html and `man 7 cgroups`.
        cgroups: where they are mounted.
    """
    for line in membership.splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if (number, controllers) == ("0", ""):
            folder, name = cgroups, "memory.max"
        elif "memory" in controllers.split(","):
            folder, name = cgroups / "memory", "memory.limit_in_bytes"
        else:
            continue
        own = PurePosixPath(path.lstrip("/"))
        for around in (own, *own.parents):
            if ".." not in around.parts:
                yield folder / around / name


def limit_in(text: str) -> int | None:
    """Return the limit that such a file holds, in bytes; None for `max` and anything else."""
    text = text.strip()
    return int(text) if text.isdecimal() and int(text) else None
