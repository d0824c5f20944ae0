"""One training at a time.

Enters: the folder that is trained into. Leaves: a lock that a crash lets go of.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from config.errors import TrainingError
from config.lock import only_one

LOCK = ".training.lock"


@contextmanager
def alone(out: Path) -> Iterator[int]:
    """Keep another process from training into the same folder; gives the lock's descriptor.

    A process that inherits that keeps the lock, as `only_one` says.

    Raises:
        TrainingError: One does, or the folder cannot be written.
    """
    lock = out / LOCK
    try:
        out.mkdir(parents=True, exist_ok=True)
        lock.touch()
    except OSError as error:
        raise TrainingError(
            f"{out} cannot be written to ({error.strerror}); name another folder with --out."
        ) from error
    refused = TrainingError(f"Another process is training into {out}; wait until it is done, or stop it.")
    with only_one(lock, refused) as descriptor:
        yield descriptor
