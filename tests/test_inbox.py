"""Events that are taken once and work that is not lost, on real ledgers."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bot.inbox import Inbox
from bot.schema import INBOX
from bot.store import Store, open_store
from config.errors import LedgerError
from config.settings import LedgerSettings


@pytest.fixture
def store(tmp_path: Path, ledger: LedgerSettings) -> Iterator[Store]:
    opened = open_store(tmp_path, ledger)
    yield opened
    opened.close()


def test_an_event_is_taken_once_however_often_it_comes(store: Store) -> None:
    inbox = Inbox(store)
    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(lambda _: inbox.take("Ev1", "message", "what was asked"), range(16)))
    (task,) = inbox.open_tasks()
    assert sorted(taken) == [*[""] * 15, task.id]
    assert (task.kind, task.payload, task.notes, task.attempts) == ("message", "what was asked", {}, 0)
    assert "Ev1" not in task.id


def test_work_is_there_until_it_is_done_and_then_its_id_alone(store: Store) -> None:
    inbox = Inbox(store)
    task_id = inbox.take("Ev1", "message", "what was asked")
    inbox.begin(task_id)
    inbox.note(task_id, "said", "slack:D1:1.1")
    inbox.note(task_id, "told", "1.2")
    (task,) = Inbox(store).open_tasks()
    assert task == inbox.task(task_id)
    assert (task.attempts, task.notes) == (1, {"said": "slack:D1:1.1", "told": "1.2"})
    inbox.done(task_id)
    inbox.done(task_id)
    inbox.note(task_id, "late", "")
    assert inbox.task(task_id) is None
    assert inbox.open_tasks() == []
    assert not inbox.take("Ev1", "message", "what was asked")
    inbox.forget_old()
    assert not inbox.take("Ev1")


def test_a_task_is_one_process_s_until_that_is_dead(store: Store) -> None:
    one, other = Inbox(store), Inbox(store)
    task_id = one.take("Ev1", "message", "what was asked")
    assert other.take_over() == one.take_over() == []
    with store.writing() as connection:
        connection.execute(INBOX.update().values(leased_until=datetime.now(UTC) - timedelta(seconds=1)))
    one.renew()
    assert other.take_over() == []
    one.release()
    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(lambda inbox: inbox.take_over(), [Inbox(store) for _ in range(8)]))
    assert [task.id for tasks in taken for task in tasks] == [task_id]
    assert [task.id for task in other.take_over(is_alone=True)] == [task_id]


def test_a_step_and_its_note_are_kept_together(store: Store) -> None:
    inbox = Inbox(store)
    task_id = inbox.take("Ev1", "message", "what was asked")
    with pytest.raises(LedgerError), store.writing() as connection:
        inbox.note_within(connection, task_id, "answered", "a1")
        connection.execute(INBOX.insert().values(id=task_id, at=datetime.now(UTC), kind="again"))
    assert inbox.open_tasks()[0].notes == {}


def test_what_waits_is_sealed(store: Store) -> None:
    inbox = Inbox(store)
    inbox.note(inbox.take("Ev1", "message", "my manager touched me"), "before", "she touched me")
    with store.reading() as connection:
        assert "touched" not in repr(connection.execute(INBOX.select()).all())
