"""What this machine offers for number crunching.

Leaves: a count of cores that may be used, and a way for heavy work to give way to answering. It looks at Linux's
topology, CPU affinity and container quota; on other systems it falls back to Python's own count, which includes
hyper-threads.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from pathlib import Path

TOPOLOGY = Path("/sys/devices/system/cpu")
QUOTA = Path("/sys/fs/cgroup/cpu.max")
_LOW_PRIORITY = 10
_PR_SET_PDEATHSIG = 1  # prctl(2)


def usable_cores(topology: Path = TOPOLOGY, quota: Path = QUOTA) -> int:
    """Count the physical cores this process may use, at least 1.

    Hyper-threads of one core share its arithmetic units, so a second thread there only slows matrix products down; and
    more threads than a container's quota are stopped in turn, in the middle of a step.
    """
    cpus = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))
    cores = len({_siblings(topology, cpu) for cpu in cpus})
    limit = _quota_cores(quota)
    return max(1, min(cores, limit) if limit else cores)


def as_child() -> None:
    """Make this process, which was just forked, give way to others and end with its parent, however that ends."""
    os.nice(_LOW_PRIORITY)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _siblings(topology: Path, cpu: int) -> str:
    """The hyper-threads that share a core with `cpu`, as the kernel writes them ("0,4"); the CPU alone if unknown."""
    try:
        return (topology / f"cpu{cpu}/topology/thread_siblings_list").read_text(encoding="ascii").strip()
    except OSError:
        return str(cpu)


def _quota_cores(quota: Path) -> int | None:
    """Whole cores of the container's CPU quota ("150000 100000" gives 1); None without one."""
    try:
        allowed, period = quota.read_text(encoding="ascii").split()
        return max(1, int(allowed) // int(period))
    except (OSError, ValueError):  # no such file, or "max 100000"
        return None
