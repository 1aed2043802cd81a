"""How many cores there are to use."""

from __future__ import annotations

import math
import os
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")


def available_cores() -> int:
    """Return how many cores this process may use, of those of the machine.

    Its affinity says so, and in a container the quota of its control group.
    https://docs.kernel.org/admin-guide/cgroup-v2.html#cpu-interface-files
    """
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    return min(cores, _quota() or cores)


def _quota() -> int | None:
    """Return the cores that the control group may use, at least one; None: there is no limit."""
    try:
        quota, period = (_CGROUP / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:  # version 1
            folder = _CGROUP / "cpu"
            quota = (folder / "cpu.cfs_quota_us").read_text()
            period = (folder / "cpu.cfs_period_us").read_text()
        except OSError:
            return None
    try:
        cores = math.ceil(int(quota) / int(period))
    except (ValueError, ZeroDivisionError):  # "max"
        return None
    return max(cores, 1) if int(quota) > 0 else None
