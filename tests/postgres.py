"""A PostgreSQL server for the tests of the ledger, where Debian's package is installed; it keeps nothing."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from sqlalchemy import create_engine, text

_NUMBERS = count(1)


def programs() -> Path | None:
    """The folder of `initdb` and `pg_ctl`; None where they are not installed."""
    if on_path := shutil.which("initdb"):
        return Path(on_path).parent
    return max(Path("/usr/lib/postgresql").glob("*/bin"), default=None)


@contextlib.contextmanager
def running(folder: Path) -> Iterator[str]:
    """Start a server on a socket of its own and stop it; gives its address with %s for a database's name."""
    user = "postgres" if os.geteuid() == 0 else None  # the server refuses to run as root
    with tempfile.TemporaryDirectory(prefix="quantahr-postgres-") as private:
        if user:
            shutil.chown(private, user)

        def run(program: str, *arguments: str) -> None:
            command = [str(folder / program), "-D", f"{private}/data", *arguments]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=private, user=user)

        run("initdb", "-U", "quantahr", "-A", "trust", "--no-sync")
        settings = f"-c listen_addresses='' -c unix_socket_directories={private} -c fsync=off"
        run("pg_ctl", "-w", "-l", f"{private}/log", "-o", settings, "start")
        try:
            yield f"postgresql+psycopg://quantahr@/%s?host={private}"
        finally:
            run("pg_ctl", "-m", "immediate", "stop")


@contextlib.contextmanager
def database(server: str) -> Iterator[str]:
    """An empty database; gives its address."""
    name = f"ledger_{next(_NUMBERS)}"
    admin = create_engine(server % "postgres", isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    try:
        yield server % name
    finally:
        with admin.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
        admin.dispose()
