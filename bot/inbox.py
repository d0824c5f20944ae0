"""Take each event once, and lose none that was taken: the work that a channel has promised to do.

Enters: an event's id, and what is to be done about it. Leaves: `Task`s until they are done, also after the process was
killed in the middle. An event is acknowledged after `take` returns, so what was acknowledged is on disk; one that is
delivered again is told from its id.

A task is sealed under the ledger's key, since it holds an employee's words before anybody has looked whether they may
be kept, and it is removed when it is done. Its notes say what was done of it already: whoever takes it up again goes
on from there.

Each task is leased to one `Inbox`, so that several processes on one ledger do not do the same. One that renews nothing
for a while is taken for dead, and its tasks go to whoever asks.

Not guaranteed: that a step is done once. A process killed between doing and noting it does it again.
"""

from __future__ import annotations

import json
import logging
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, RowMapping, delete, insert, or_, select, true, update

from bot.schema import EVENTS, INBOX
from bot.store import Store, in_utc, insert_once
from config.errors import LedgerError

_log = logging.getLogger(__name__)
# A channel delivers again for minutes, at most hours; after that an id is of no use.
_REMEMBERED = timedelta(days=7)
LEASE = timedelta(seconds=60)


@dataclass(frozen=True)
class Task:
    """Work that was promised. `payload` is whatever the channel needs to do it, `notes` what was done of it by name;
    `attempts` counts the tries before."""

    id: str
    kind: str
    payload: str
    notes: Mapping[str, str]
    attempts: int
    at: datetime


class Inbox:
    """The promised work of all channels. Blocking, about a millisecond a call; safe to use from several threads."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._owner = secrets.token_hex(8)

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
                row = {"id": task_id, "at": now, "kind": kind, "sealed": sealed}
                connection.execute(insert(INBOX).values(row | self._lease(now)))
        return task_id

    def begin(self, task_id: str) -> bool:
        """Count a try; False where the task is gone, since it was done or its person erased."""
        counted = update(INBOX).where(INBOX.c.id == task_id).values(attempts=INBOX.c.attempts + 1)
        with self._store.writing() as connection:
            return connection.execute(counted).rowcount > 0

    def note(self, task_id: str, name: str, outcome: str) -> None:
        """Keep what came of one step of a task."""
        with self._store.writing() as connection:
            self.note_within(connection, task_id, name, outcome)

    def note_within(self, connection: Connection, task_id: str, name: str, outcome: str) -> bool:
        """The same, in a transaction that is under way: the step and the note are kept together.

        False where the task is gone.
        """
        of_task = INBOX.c.id == task_id
        noted = connection.scalar(select(INBOX.c.notes).where(of_task).with_for_update())
        if noted is None:
            return False
        notes = json.dumps(self._notes(noted) | {name: outcome})
        connection.execute(update(INBOX).where(of_task).values(notes=self._store.seal(notes)))
        return True

    def done(self, task_id: str) -> None:
        """Forget a task; no error when it is gone."""
        with self._store.writing() as connection:
            connection.execute(delete(INBOX).where(INBOX.c.id == task_id))

    def open_tasks(self) -> list[Task]:
        """What was promised and not done, by whomever, oldest first."""
        with self._store.reading() as connection:
            rows = connection.execute(select(INBOX).order_by(INBOX.c.at, INBOX.c.id)).mappings().all()
        return [self._task(row) for row in rows]

    def take_over(self, *, is_alone: bool = False) -> list[Task]:
        """Make those tasks ours whose owners are dead, oldest first; of one that `is_alone` that is all others."""
        now = datetime.now(UTC)
        is_left = true() if is_alone else or_(INBOX.c.leased_until.is_(None), INBOX.c.leased_until < now)
        claim = update(INBOX).where(INBOX.c.owner != self._owner, is_left).values(self._lease(now)).returning(INBOX)
        with self._store.writing() as connection:
            rows = connection.execute(claim).mappings().all()
        found = []
        for row in rows:
            try:
                found.append(self._task(row))
            except (LedgerError, ValueError):  # one that cannot be read must not keep the others from being done
                _log.exception("a task of kind %s cannot be read, and is left", row["kind"])
        return sorted(found, key=lambda task: (task.at, task.id))

    def renew(self) -> None:
        """Say that we live."""
        with self._store.writing() as connection:
            ours = INBOX.c.owner == self._owner
            connection.execute(update(INBOX).where(ours).values(self._lease(datetime.now(UTC))))

    def release(self) -> None:
        """Leave what is not done to whoever comes next."""
        with self._store.writing() as connection:
            connection.execute(update(INBOX).where(INBOX.c.owner == self._owner).values(leased_until=None, owner=""))

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
            notes=self._notes(row["notes"]),
            attempts=row["attempts"],
            at=in_utc(row["at"]),
        )

    def _notes(self, sealed: str) -> dict[str, str]:
        return json.loads(self._store.unseal(sealed)) if sealed else {}

    def _lease(self, now: datetime) -> dict[str, object]:
        return {"owner": self._owner, "leased_until": now + LEASE}


def _is_new(connection: Connection, event_id: str, now: datetime) -> bool:
    """Keep the id, unless it is there: of several processes that try at once, one succeeds."""
    taken = insert_once(connection, EVENTS).values(id=event_id, at=now).on_conflict_do_nothing()
    return connection.scalar(taken.returning(EVENTS.c.id)) is not None
