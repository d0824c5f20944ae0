"""One process at a time: a lock on a file, which a crash lets go of."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from config.errors import QuantaHRError


@contextmanager
def only_one(file: Path, refused: QuantaHRError) -> Iterator[int]:
    """Hold the lock, or raise `refused` where another process has it; gives the lock's descriptor.

    A process that inherits that keeps the lock as long as it lives, also when the one that took it is killed.
    """
    with file.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise refused from error
        yield lock.fileno()
