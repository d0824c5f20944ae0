"""Take each event once, and lose none that was taken: the work that a channel has promised to do.

Enters: an event's id, and what is to be done about it. Leaves: `Task`s until they are done, also after the process was
killed in the middle. An event is acknowledged after `take` returns, so what was acknowledged is on disk; one that is
delivered again is told from its id.

A task is sealed under the ledger's key, since it holds an employee's words before anybody has looked whether they may
be kept, and it is removed when it is done. `placeholder` is where the answer will appear: whoever takes the task up
again finishes that message instead of writing another.

Not guaranteed: that a task is done once. A process killed between doing and `done` does it again, over the same
placeholder.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, RowMapping, delete, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from bot.schema import EVENTS, INBOX
from bot.store import Store, in_utc

# A channel delivers again for minutes, at most hours; after that an id is of no use.
_REMEMBERED = timedelta(days=7)


@dataclass(frozen=True)
class Task:
    """Work that was promised. `payload` is whatever the channel needs to do it; `attempts` counts the tries before."""

    id: str
    kind: str
    payload: str
    placeholder: str
    attempts: int
    at: datetime


class Inbox:
    """The promised work of all channels. Blocking, about a millisecond a call; safe to use from several threads."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def take(self, event_id: str, kind: str = "", payload: str = "") -> str:
        """Take an event, with work to do if `kind` says which; gives the task's id, empty when it was taken before.

        Raises:
            LedgerError: It could not be kept, so it must not be acknowledged.
        """
        now = datetime.now(UTC)
        task_id = self._store.hash(event_id)  # a channel's names of messages lead to people
        with self._store.writing() as connection:
            if not _is_new(connection, task_id, now):
                return ""
            if kind:
                sealed = self._store.seal(payload)
                connection.execute(insert(INBOX).values(id=task_id, at=now, kind=kind, sealed=sealed))
        return task_id

    def begin(self, task_id: str) -> None:
        """Count a try."""
        self._set(task_id, attempts=INBOX.c.attempts + 1)

    def place(self, task_id: str, placeholder: str) -> None:
        """Keep where the answer will appear."""
        self._set(task_id, placeholder=self._store.seal(placeholder))

    def done(self, task_id: str) -> None:
        """Forget a task; no error when it is gone."""
        with self._store.writing() as connection:
            connection.execute(delete(INBOX).where(INBOX.c.id == task_id))

    def open_tasks(self) -> list[Task]:
        """What was promised and not done, oldest first."""
        with self._store.reading() as connection:
            rows = connection.execute(select(INBOX).order_by(INBOX.c.at, INBOX.c.id)).mappings().all()
        return [self._task(row) for row in rows]

    def task(self, task_id: str) -> Task | None:
        """One task as it stands; None when it is done."""
        with self._store.reading() as connection:
            row = connection.execute(select(INBOX).where(INBOX.c.id == task_id)).mappings().one_or_none()
        return self._task(row) if row else None

    def forget_old(self) -> None:
        """Forget ids of events that no channel delivers any more."""
        with self._store.writing() as connection:
            connection.execute(delete(EVENTS).where(EVENTS.c.at < datetime.now(UTC) - _REMEMBERED))

    def _task(self, row: RowMapping) -> Task:
        return Task(
            id=row["id"],
            kind=row["kind"],
            payload=self._store.unseal(row["sealed"]),
            placeholder=self._store.unseal(row["placeholder"]) if row["placeholder"] else "",
            attempts=row["attempts"],
            at=in_utc(row["at"]),
        )

    def _set(self, task_id: str, **values: object) -> None:
        with self._store.writing() as connection:
            connection.execute(update(INBOX).where(INBOX.c.id == task_id).values(**values))


def _is_new(connection: Connection, event_id: str, now: datetime) -> bool:
    """Keep the id, unless it is there: of several processes that try at once, one succeeds."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(EVENTS).values(id=event_id, at=now).on_conflict_do_nothing().returning(EVENTS.c.id)
    return connection.scalar(statement) is not None
