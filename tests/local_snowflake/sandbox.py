"""The sandbox of a function's process: it may read everything, write /tmp, and has no network.

On Linux the kernel sees to it, through namespaces that need no privilege. Elsewhere an audit hook
stops what goes through Python, and says that it is weaker. Runs in the interpreter of any
repository, so it imports only the standard library.

See https://docs.snowflake.com/en/developer-guide/udf-stored-procedure-security-practices
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

TMP = Path("/tmp")
_PLACES_FOR_IMPORTS = ("/mnt", "/media", "/srv", "/opt")

_CLONE_NEWNS, _CLONE_NEWUSER, _CLONE_NEWNET = 0x20000, 0x10000000, 0x40000000
_MS_BIND, _MS_REC, _MS_PRIVATE = 0x1000, 0x4000, 0x40000
_SYS_MOUNT_SETATTR, _AT_FDCWD, _AT_RECURSIVE, _MOUNT_ATTR_RDONLY = 442, -100, 0x8000, 1
_PR_SET_NO_NEW_PRIVS = 38
_CAPABILITY_VERSION_3 = 0x20080522


class _Attributes(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in ("set", "clear", "propagation", "userns")]


def enter(tmp: Path, imports: Path) -> Path:
    """Lock this process in, and return where it sees `imports`.

    Call it before there is a second thread.

    Args:
        tmp: the folder that becomes /tmp.
        imports: the folder that stays readable, wherever it lies.
    """
    try:
        _unshare()
    except (OSError, AttributeError) as error:
        _watch(tmp, imports, str(error))
        return imports
    libc = ctypes.CDLL(None, use_errno=True)
    _mount(libc, None, "/", _MS_REC | _MS_PRIVATE)
    # These keep folders below /tmp reachable, which is covered next.
    covered = {path: os.open(path, os.O_PATH) for path in _needed() if _is_below(path, TMP)}
    place = _place_for(imports)
    held = os.open(imports, os.O_PATH)
    _mount(libc, str(tmp), str(TMP), _MS_BIND)
    for path, descriptor in covered.items():
        os.makedirs(path, exist_ok=True)
        _mount(libc, f"/proc/self/fd/{descriptor}", path, _MS_BIND | _MS_REC)
    os.makedirs(place, exist_ok=True)
    _mount(libc, f"/proc/self/fd/{held}", str(place), _MS_BIND)
    _set_attributes(libc, "/", _Attributes(set=_MOUNT_ATTR_RDONLY), _AT_RECURSIVE)
    _set_attributes(libc, str(TMP), _Attributes(clear=_MOUNT_ATTR_RDONLY), 0)
    for descriptor in (held, *covered.values()):
        os.close(descriptor)
    _drop_capabilities(libc)
    os.chdir(TMP)
    return place


def _unshare() -> None:
    """Enter new namespaces, with the same user."""
    libc = ctypes.CDLL(None, use_errno=True)
    user, group = os.getuid(), os.getgid()
    if libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNS | _CLONE_NEWNET):
        _raise("unshare")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
    Path("/proc/self/gid_map").write_text(f"{group} {group} 1")


def _needed() -> list[str]:
    """Return the interpreter's folders, outer ones first."""
    places = {sys.prefix, sys.base_prefix, sys.exec_prefix, os.path.dirname(sys.executable)}
    places.update(path for path in sys.path if os.path.exists(path))
    return sorted(places | {os.path.realpath(path) for path in places})


def _place_for(imports: Path) -> Path:
    needed = _needed()
    for place in _PLACES_FOR_IMPORTS:
        if os.path.isdir(place) and not any(_is_below(path, Path(place)) for path in needed):
            return Path(place)
    return TMP / imports.name


def _is_below(path: str, folder: Path) -> bool:
    return Path(path).is_relative_to(folder)


def _mount(libc: ctypes.CDLL, source: str | None, target: str, flags: int) -> None:
    bytes_of_source = None if source is None else os.fsencode(source)
    if libc.mount(bytes_of_source, os.fsencode(target), None, ctypes.c_ulong(flags), None):
        _raise(f"mount {target}")


def _set_attributes(libc: ctypes.CDLL, path: str, attributes: _Attributes, flags: int) -> None:
    if libc.syscall(
        _SYS_MOUNT_SETATTR,
        _AT_FDCWD,
        os.fsencode(path),
        flags,
        ctypes.byref(attributes),
        ctypes.sizeof(attributes),
    ):
        _raise(f"mount_setattr {path}")


def _drop_capabilities(libc: ctypes.CDLL) -> None:
    """Drop the privileges that could undo this."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    nothing = (ctypes.c_uint32 * 6)()
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.capset(header, nothing):
        _raise("capset")


def _raise(what: str) -> None:
    number = ctypes.get_errno()
    raise OSError(number, f"{what}: {os.strerror(number)}")


def _watch(tmp: Path, imports: Path, why: str) -> None:
    print(
        f"local_snowflake: this system has no namespaces ({why}), so functions run in a weaker "
        f"sandbox, and their /tmp is this machine's",
        file=sys.stderr,
        flush=True,
    )
    allowed = [Path(os.path.realpath(path)) for path in (TMP, tmp)]
    refused = Path(os.path.realpath(imports))

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if event.startswith("socket.") and event != "socket.__new__":
            raise PermissionError(1, "Operation not permitted", event)
        for path in _written(event, arguments):
            real = os.path.realpath(os.fsdecode(path))
            is_allowed = any(_is_below(real, folder) for folder in allowed)
            if real != os.devnull and (_is_below(real, refused) or not is_allowed):
                raise OSError(30, "Read-only file system", os.fsdecode(path))

    sys.addaudithook(watch)


def _written(event: str, arguments: tuple[Any, ...]) -> Iterable[Any]:
    if event == "open":
        path, mode, flags = arguments
        writes = (flags or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) or (mode and "w" in mode)
        return [path] if writes and isinstance(path, (str, bytes)) else []
    if event in {"os.rename", "os.link", "os.symlink"}:
        return arguments[:2]
    if event in {"os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.chmod", "os.utime"}:
        return arguments[:1]
    return []
