"""One training at a time.

Enters: the folder that is trained into. Leaves: a lock that a crash lets go of.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from config.errors import TrainingError

LOCK = ".training.lock"


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
