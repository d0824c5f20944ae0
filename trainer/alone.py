"""One training at a time, and less important than answering.

Enters: the folder that is trained into. Leaves: a lock that a crash lets go of, and a process of low priority that
never goes on unseen.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from config.errors import TrainingError

LOCK = ".training.lock"
_LOW_PRIORITY = 10
_PR_SET_PDEATHSIG = 1  # prctl(2)


@contextmanager
def alone(out: Path) -> Iterator[int]:
    """Keep another process from training into the same folder; gives the lock's descriptor.

    A process that inherits that keeps the lock as long as it lives, also when the one that took it is killed.

    Raises:
        TrainingError: One does, or the folder cannot be written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        lock = (out / LOCK).open("a")
    except OSError as error:
        raise TrainingError(
            f"{out} cannot be written to ({error.strerror}); name another folder with --out."
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise TrainingError(
                f"Another process is training into {out}; wait until it is done, or stop it."
            ) from error
        yield lock.fileno()


def as_child() -> None:
    """Make this process, which was just forked, give way to others and end with its parent, however that ends."""
    os.nice(_LOW_PRIORITY)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
