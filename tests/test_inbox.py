"""Events that are taken once and work that is not lost, on real ledgers."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bot.inbox import Inbox
from bot.schema import INBOX
from bot.store import Store, open_store
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
    assert (task.kind, task.payload, task.placeholder, task.attempts) == ("message", "what was asked", "", 0)
    assert "Ev1" not in task.id


def test_work_is_there_until_it_is_done_and_then_its_id_alone(store: Store) -> None:
    inbox = Inbox(store)
    task_id = inbox.take("Ev1", "message", "what was asked")
    inbox.begin(task_id)
    inbox.place(task_id, "slack:D1:1.1")
    (task,) = Inbox(store).open_tasks()
    assert task == inbox.task(task_id)
    assert (task.attempts, task.placeholder) == (1, "slack:D1:1.1")
    inbox.done(task_id)
    inbox.done(task_id)
    assert inbox.task(task_id) is None
    assert inbox.open_tasks() == []
    assert not inbox.take("Ev1", "message", "what was asked")
    inbox.forget_old()
    assert not inbox.take("Ev1")


def test_what_waits_is_sealed(store: Store) -> None:
    Inbox(store).take("Ev1", "message", "my manager touched me")
    with store.reading() as connection:
        assert "touched" not in repr(connection.execute(INBOX.select()).all())
