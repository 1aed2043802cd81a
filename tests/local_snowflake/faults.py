"""Faults on demand, for tests and for users who try things out."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

NAMES = (
    "put_breaks_halfway",
    "copy_files_breaks_halfway",
    "worker_killed_during_extraction",
    "anaconda_terms_missing",
    "resolve_python_packages_unknown",
    "object_dtypes",
)
PREFIXES = ("package_missing:",)


@dataclass
class Faults:
    """Named switches. One is on for a number of times, or until it is cleared."""

    _left: dict[str, int | None] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def set(self, name: str, times: int | None = 1) -> None:
        """Switch a fault on.

        Args:
            name: one of `NAMES`, or `package_missing:<package>`.
            times: how often it strikes; None for always.
        """
        if name not in NAMES and not name.startswith(PREFIXES):
            known = ", ".join([*NAMES, *(f"{prefix}<name>" for prefix in PREFIXES)])
            raise ValueError(f"fault {name!r} is unknown. Known faults: {known}.")
        if times is not None and times < 1:
            raise ValueError(
                f"fault {name!r}: times is {times}. Give 1 or more, or null for always."
            )
        with self._lock:
            self._left[name] = times

    def clear(self) -> None:
        """Switch all faults off."""
        with self._lock:
            self._left.clear()

    def strikes(self, name: str) -> bool:
        """Whether a fault strikes now; this uses it up once."""
        with self._lock:
            if name not in self._left:
                return False
            left = self._left[name]
            if left == 1:
                del self._left[name]
            elif left is not None:
                self._left[name] = left - 1
            return True

    def is_set(self, name: str) -> bool:
        """Whether a fault is on; this does not use it up."""
        with self._lock:
            return name in self._left
