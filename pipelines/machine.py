"""What this machine, or the container that we are in, has to work with."""

import math
import os
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")
"""Limits of a container, as it sees them itself (version 2)."""


def cpus() -> int:
    """CPUs that we may use: those that we may be placed on, or fewer where a quota says so."""
    placed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota, _, period = _limit("cpu.max").partition(" ")
    return min(placed, max(1, math.ceil(int(quota) / int(period)))) if quota.isdigit() else placed


def memory_bytes() -> int:
    """Memory that we may use, in bytes."""
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = _limit("memory.max")
    return min(physical, int(limit)) if limit.isdigit() else physical


def _limit(name: str) -> str:
    try:
        return (CGROUP / name).read_text("ascii").strip()
    except OSError:
        return ""  # no container, or no Linux
