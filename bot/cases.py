"""Cases: what people bring before HR, with their name or without.

Enters: a case as it is opened, assigned, answered and resolved. Leaves: the `Case` as it stands, and where a reply
reaches whoever opened it. Every step is appended. Whoever asks anonymously appears as a hash and a sealed place: HR
replies through the bot and does not learn who it is.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from sqlalchemy import select

from bot.schema import CASES
from bot.store import Store, in_utc, insert_once
from config.errors import UnknownCase


class CaseStep(StrEnum):
    """What happened to a case."""

    OPEN = "open"
    ASSIGN = "assign"
    REPLY = "reply"
    RESOLVE = "resolve"


@dataclass(frozen=True)
class Case:
    """A case as it stands. `person` and `assignee` are hashes, the latter empty while nobody has taken it.

    `interaction_id` is None where it is about no answer. `reply_to` is where its opener is reached.
    """

    id: str
    opened_at: datetime
    person: str
    is_anonymous: bool
    interaction_id: str | None
    reply_to: str
    assignee: str = ""
    is_resolved: bool = False


class Cases:
    """The cases of a ledger. Blocking, about a millisecond a call."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def open(
        self, person: str, reply_to: str, interaction_id: str | None, text: str, *, is_anonymous: bool, key: str = ""
    ) -> Case:
        """Open a case; `reply_to` is the channel's name for where its opener is reached. The same `key` opens one."""
        case_id = self._store.hash(key)[:12] if key else secrets.token_hex(6)
        self._append(
            key,
            case_id=case_id,
            step=CaseStep.OPEN.value,
            interaction_id=interaction_id,
            person=self._store.hash(person),
            is_anonymous=is_anonymous,
            text=text,
            sealed=self._store.seal(reply_to),
        )
        return self.case(case_id)

    def add(self, case_id: str, step: CaseStep, person: str, text: str = "", *, key: str = "") -> Case:
        """Append a step of HR's; the same `key` appends one.

        Raises:
            UnknownCase: There is no such case.
        """
        self._append(
            key,
            case_id=case_id,
            step=step.value,
            interaction_id=self.case(case_id).interaction_id,
            person=self._store.hash(person),
            is_anonymous=False,
            text=text,
        )
        return self.case(case_id)

    def _append(self, key: str, **values: object) -> None:
        row = values | {"at": datetime.now(UTC), "key": self._store.hash(key) if key else None}
        with self._store.writing() as connection:
            connection.execute(insert_once(connection, CASES).values(row).on_conflict_do_nothing())

    def case(self, case_id: str) -> Case:
        """One case.

        Raises:
            UnknownCase: There is no such case.
        """
        with self._store.reading() as connection:
            rows = connection.execute(select(CASES).where(CASES.c.case_id == case_id).order_by(CASES.c.id)).all()
        if not rows:
            raise UnknownCase(f"There is no case {case_id}; it may have been erased.")
        opened = rows[0]
        return Case(
            id=case_id,
            opened_at=in_utc(opened.at),
            person=opened.person,
            is_anonymous=opened.is_anonymous,
            interaction_id=opened.interaction_id,
            reply_to=self._store.unseal(opened.sealed),
            assignee=next((row.person for row in reversed(rows) if row.step == CaseStep.ASSIGN), ""),
            is_resolved=any(row.step == CaseStep.RESOLVE for row in rows),
        )
